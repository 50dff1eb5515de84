// The decision: may this principal make this request here and now? A pure function over the matched
// route, the verified principal, an immutable snapshot of the registry and the time, in the order
// authenticated -> organization -> placement -> role -> scope. Only authorize() can make a Permit,
// and only route() a Route (policy/route.h), so a door that skips a stage does not compile.
//
// Rules: a denial is the default; a Permit is for an active organization homed in this region; a
// token counts only when its issuer's region is the home of the principal's organization; another
// organization needs a grant that is unexpired, names the permission, and lies in this region.
// Whether a foreign organization exists is not revealed: organization_mismatch comes before
// look-up.
#pragma once

#include <expected>
#include <string_view>

#include "domain/principal.h"
#include "domain/registry_snapshot.h"
#include "policy/denial.h"
#include "policy/route_policy.h"

namespace domicile::policy {

class Route;

// What the request itself says, before anybody believes it.
struct RequestFacts {
  RouteMatch match;                      // of RoutePolicy::match()
  std::string_view organization_header;  // value of match.rule->organization_header; "" when absent
};

// Proof that authorize() said yes. Holds pointers to the rule, the principal and the snapshot: use
// it within the request, while those live. Copies are cheap.
class Permit {
 public:
  const RouteRule& rule() const { return *rule_; }
  const domain::Principal* principal() const { return principal_; }  // null on public routes
  // The organization that is acted in; key empty on public routes about none.
  const domain::OrganizationView& organization() const { return organization_; }
  // The grant in use, when the organization is not the principal's own; else null.
  const domain::Grant* grant() const { return grant_; }
  std::uint64_t snapshot_revision() const { return snapshot_->revision(); }

 private:
  friend std::expected<Permit, Denial> authorize(const RequestFacts&, const domain::Principal*,
                                                 const domain::RegistrySnapshot&, std::string_view,
                                                 std::int64_t);
  friend class Route;
  friend std::expected<Route, Denial> route(const Permit&, const domain::RegistrySnapshot&);
  Permit(const RouteRule& rule, const domain::Principal* principal,
         const domain::RegistrySnapshot& snapshot)
      : rule_(&rule), principal_(principal), snapshot_(&snapshot) {}

  const RouteRule* rule_;
  const domain::Principal* principal_;
  const domain::RegistrySnapshot* snapshot_;
  domain::OrganizationView organization_;
  const domain::Grant* grant_ = nullptr;
};

// `principal` is null when the request carried no credentials. `this_region` is the region of the
// door. `now_s`: Unix seconds. No allocation.
std::expected<Permit, Denial> authorize(const RequestFacts& facts,
                                        const domain::Principal* principal,
                                        const domain::RegistrySnapshot& snapshot,
                                        std::string_view this_region, std::int64_t now_s);

}  // namespace domicile::policy
