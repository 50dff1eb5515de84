// Where a permitted request goes: the region's own upstream, under the placement epoch that was
// decided on. A gateway that waited (for a body, for the event to be stored) passes the newest
// snapshot: if the organization's placement has changed since, the Permit no longer holds.
#pragma once

#include <expected>

#include "policy/authorize.h"

namespace domicile::policy {

class Route {
 public:
  const std::string& upstream() const {
    return permit_.rule().upstream;
  }  // a name of RoutePolicy::upstreams()
  domain::Epoch epoch() const { return permit_.organization().epoch; }  // 0 without an organization
  const Permit& permit() const { return permit_; }

 private:
  friend std::expected<Route, Denial> route(const Permit&, const domain::RegistrySnapshot&);
  static bool same_snapshot(const Permit& permit, const domain::RegistrySnapshot& snapshot) {
    return permit.snapshot_ == &snapshot;
  }
  explicit Route(const Permit& permit) : permit_(permit) {}
  Permit permit_;
};

// `snapshot` may be the one authorize() used, or a newer one.
std::expected<Route, Denial> route(const Permit& permit, const domain::RegistrySnapshot& snapshot);

}  // namespace domicile::policy
