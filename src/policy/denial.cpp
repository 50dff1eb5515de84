#include "policy/denial.h"

#include "base/check.h"

namespace domicile::policy {
namespace {

struct Row {
  DenialReason reason;
  std::string_view text;
  Code code;
  int status;
  bool violation;
};

// The one table of what a denial means to the outside.
constexpr Row kRows[] = {
    {DenialReason::no_route, "no_route", Code::not_found, 404, false},
    {DenialReason::method_not_allowed, "method_not_allowed", Code::denied, 405, false},
    {DenialReason::unauthenticated, "unauthenticated", Code::unauthenticated, 401, false},
    {DenialReason::token_expired, "token_expired", Code::unauthenticated, 401, false},
    {DenialReason::organization_missing, "organization_missing", Code::invalid, 400, false},
    {DenialReason::organization_mismatch, "organization_mismatch", Code::denied, 403, false},
    {DenialReason::unknown_organization, "unknown_organization", Code::denied, 403, false},
    {DenialReason::cross_region_token, "cross_region_token", Code::denied, 403, true},
    {DenialReason::wrong_region, "wrong_region", Code::wrong_region, 421, true},
    {DenialReason::organization_closed, "organization_closed", Code::denied, 403, false},
    {DenialReason::organization_suspended, "organization_suspended", Code::denied, 403, false},
    {DenialReason::organization_moving, "organization_moving", Code::unavailable, 503, false},
    {DenialReason::stale_epoch, "stale_epoch", Code::unauthenticated, 401, false},
    {DenialReason::snapshot_behind, "snapshot_behind", Code::unavailable, 503, false},
    {DenialReason::grant_expired, "grant_expired", Code::denied, 403, false},
    {DenialReason::grant_cross_region, "grant_cross_region", Code::denied, 403, true},
    {DenialReason::missing_role, "missing_role", Code::denied, 403, false},
    {DenialReason::missing_permission, "missing_permission", Code::denied, 403, false},
};
static_assert(std::size(kRows) == kDenialReasons);

constexpr bool in_order() {
  for (int i = 0; i < kDenialReasons; ++i) {
    if (static_cast<int>(kRows[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order());

const Row& row(DenialReason reason) {
  CHECK(static_cast<int>(reason) < kDenialReasons);
  return kRows[static_cast<int>(reason)];
}

}  // namespace

std::string_view to_string(DenialReason reason) { return row(reason).text; }
Code code_of(DenialReason reason) { return row(reason).code; }
int status_of(DenialReason reason) { return row(reason).status; }
bool is_violation(DenialReason reason) { return row(reason).violation; }

}  // namespace domicile::policy
