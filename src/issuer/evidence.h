// The events of sign-in and issuance. Each is durable before the answer that it is about leaves the
// issuer; where that fails, the answer is 503 and nothing is given out. A wrong-region event holds
// organization, reason and request id, and nothing about the person: their home records them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "domain/event.h"
#include "http/message.h"

namespace domicile::issuer {

class Evidence {
 public:
  Evidence(domain::EventSink& sink, const Clock& clock, domain::RegionId region)
      : sink_(sink), clock_(clock), region_(std::move(region)) {}

  // With time, region and what the request says about itself.
  domain::Event event(domain::EventKind kind, domain::Outcome outcome,
                      const http::Request& request) const;
  // A refused sign-in or issuance. `cause` says in the region's log what the answer does not;
  // `client` may be empty.
  domain::Event refused(const http::Request& request, std::string_view client,
                        std::string_view organization, std::string_view cause,
                        std::string_view grant_type) const;
  // Without anything about the person.
  domain::Event wrong_region(std::string_view organization, const http::Request& request) const;

  // All of them, in one group; the first error if one was not stored.
  Result<void> record(std::vector<domain::Event> events);

 private:
  domain::EventSink& sink_;
  const Clock& clock_;
  domain::RegionId region_;
};

}  // namespace domicile::issuer
