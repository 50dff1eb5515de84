// A CloudTrail record as an event (`cloud_activity`). The person or role is the actor, so a personal
// field; of the request's parameters only names of resources and regions are taken. Where the
// parameters name another region than the one that was called, the detail `other_regions` says which:
// that is what residency rules ask. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "domain/event.h"

namespace domicile::trail {

// nullopt: no CloudTrail record (no JSON object, or without eventName, eventSource and eventID).
std::optional<domain::Event> cloud_event(std::string_view record, WallTime now);

// "2026-11-30T09:43:53Z" as milliseconds; nullopt: something else.
std::optional<std::int64_t> cloud_time_ms(std::string_view text);
// "ca-central-1", "us-gov-west-1"
bool region_name(std::string_view text);

}  // namespace domicile::trail
