// Makes a batch of events durable, all of them waited for together.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "domain/event.h"

namespace domicile::trail {

// `stored` gains the request ids of those that are durable, also when others failed (the error).
Result<void> store_events(domain::EventSink& sink, std::vector<domain::Event> events,
                          std::set<std::string>& stored);

}  // namespace domicile::trail
