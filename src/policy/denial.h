// Why a request is refused. The reason is a stable code: it stands in problem+json answers, in
// events and in alerts, and is never renamed. Values, no I/O.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "domain/placement.h"

namespace domicile::policy {

enum class DenialReason : std::uint8_t {
  no_route,            // no route of the policy matches the path
  method_not_allowed,  // the path has routes, for other methods
  unauthenticated,     // no verified principal on a route that needs one
  token_expired,
  organization_missing,   // the route wants the organization in the request, and it is not there
  organization_mismatch,  // not the principal's organization, and no grant for it
  unknown_organization,   // the registry snapshot does not know it: never sent to a default region
  cross_region_token,     // issued by one region for an organization homed in another: a violation
  wrong_region,           // the organization's home is elsewhere: `home` says where
  organization_closed,
  organization_suspended,
  organization_moving,  // try again later
  stale_epoch,          // the token is older than the organization's last placement change
  snapshot_behind,      // the token is newer than this node's snapshot: try again later
  grant_expired,
  grant_cross_region,  // grants never reach across regions: a violation
  missing_role,
  missing_permission,
};

inline constexpr int kDenialReasons = 18;

std::string_view to_string(DenialReason reason);
Code code_of(DenialReason reason);
// HTTP status: 400, 401, 403, 404, 405, 421 or 503 (RFC 9110).
int status_of(DenialReason reason);
// Recorded as a cross-region attempt (OCSF 2004), not only as a refused request.
bool is_violation(DenialReason reason);

struct Denial {
  DenialReason reason = DenialReason::no_route;
  // For wrong_region, and for stale_epoch after a move: where to go. Lives as long as the snapshot.
  const domain::Region* home = nullptr;
  Code code() const { return code_of(reason); }
};

}  // namespace domicile::policy
