// The event of a finding of the reference sync: something that a person must look at. Never holds a row's values.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "domain/event.h"

namespace domicile::reference {

inline domain::Event finding_event(const Clock& clock, const domain::RegionId& region,
                                   std::string_view operation, std::string resource,
                                   std::string_view reason, std::string_view severity) {
  domain::Event event;
  event.kind = domain::EventKind::finding;
  event.outcome = domain::Outcome::failed;
  event.activity = domain::Activity::other;
  event.time = clock.now();
  event.region = region;
  event.operation = operation;
  event.resource = std::move(resource);
  event.reason = reason;
  event.severity = severity;
  return event;
}

}  // namespace domicile::reference
