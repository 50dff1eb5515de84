// The events of witnessing, on either side: a witness that is away, a quorum that is missing, two
// histories of one log. Details are names of logs and witnesses, sizes and hashes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "domain/event.h"

namespace domicile::audit {

inline domain::Event witness_event(const Clock& clock, const domain::RegionId& region,
                                   std::string operation, domain::Outcome outcome,
                                   std::string reason, std::string severity,
                                   std::vector<std::pair<std::string, std::string>> details) {
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = outcome;
  event.activity = domain::Activity::other;
  event.time = clock.now();
  event.region = region;
  event.operation = std::move(operation);
  event.reason = std::move(reason);
  event.severity = std::move(severity);
  event.details = std::move(details);
  return event;
}

}  // namespace domicile::audit
