#include "policy/authorize.h"

#include <algorithm>
#include <optional>

namespace domicile::policy {
namespace {

using domain::OrganizationView;
using domain::PlacementState;
using domain::Principal;

std::unexpected<Denial> deny(DenialReason reason, const domain::Region* home = nullptr) {
  return std::unexpected(Denial{.reason = reason, .home = home});
}

std::optional<DenialReason> refusal_by_state(PlacementState state) {
  switch (state) {
    case PlacementState::active: return std::nullopt;
    case PlacementState::suspended: return DenialReason::organization_suspended;
    case PlacementState::moving: return DenialReason::organization_moving;
    case PlacementState::closed: return DenialReason::organization_closed;
  }
  return DenialReason::organization_closed;
}

// The principal's own organization: known, vouched for by its home's issuer, homed here, active,
// and under the epoch that the token was issued for.
std::expected<OrganizationView, Denial> own_organization(const Principal& principal,
                                                         const domain::RegistrySnapshot& snapshot,
                                                         std::string_view this_region) {
  const auto own = snapshot.find(principal.organization);
  if (!own) return deny(DenialReason::unknown_organization);
  const bool token_is_older = principal.epoch != 0 && principal.epoch < own->epoch;
  if (!own->homed_in(principal.region.view())) {
    // After a move the former home's tokens are merely old, as their epoch shows; and a token with
    // an epoch this snapshot has not heard of may come from a move that it has not heard of.
    if (token_is_older && !own->homed_in(this_region))
      return deny(DenialReason::wrong_region, own->home);
    if (token_is_older) return deny(DenialReason::stale_epoch, own->home);
    if (principal.epoch > own->epoch) return deny(DenialReason::snapshot_behind);
    return deny(DenialReason::cross_region_token);
  }
  if (!own->homed_in(this_region)) return deny(DenialReason::wrong_region, own->home);
  if (const auto refused = refusal_by_state(own->state)) return deny(*refused);
  if (token_is_older) return deny(DenialReason::stale_epoch, own->home);
  if (principal.epoch > own->epoch) return deny(DenialReason::snapshot_behind);
  return *own;
}

bool contains(const std::vector<domain::Permission>& permissions,
              const domain::Permission& wanted) {
  return wanted.empty() || std::ranges::find(permissions, wanted) != permissions.end();
}

bool has_role(const Principal& principal, const RouteRule& rule) {
  return rule.roles.empty() || std::ranges::any_of(rule.roles, [&](const domain::RoleName& role) {
           return std::ranges::find(principal.roles, role) != principal.roles.end();
         });
}

struct GrantChoice {
  const domain::Grant* usable = nullptr;  // unexpired, names the permission
  bool any = false;                       // for this organization at all
  bool any_unexpired = false;
};

GrantChoice choose_grant(const Principal& principal, std::string_view organization,
                         const domain::Permission& permission, std::int64_t now_s) {
  GrantChoice choice;
  for (const domain::Grant& grant : principal.grants) {
    if (grant.organization.view() != organization) continue;
    choice.any = true;
    if (grant.expires_at <= now_s) continue;
    choice.any_unexpired = true;
    if (choice.usable == nullptr && contains(grant.permissions, permission)) choice.usable = &grant;
  }
  return choice;
}

// Another organization: by grant only, in this region only, with the grant's own permissions. Roles
// are of the principal's own organization, so a route that asks for a role is closed to grants, and
// so is a route that asks for no permission, because then the grant would name nothing.
std::expected<std::pair<OrganizationView, const domain::Grant*>, Denial> granted_organization(
    const RouteRule& rule, const GrantChoice& choice, const domain::RegistrySnapshot& snapshot,
    std::string_view organization, std::string_view this_region) {
  const auto target = snapshot.find(organization);
  if (!target) return deny(DenialReason::unknown_organization);
  if (!target->homed_in(this_region)) return deny(DenialReason::grant_cross_region);
  if (const auto refused = refusal_by_state(target->state)) return deny(*refused);
  if (!choice.any_unexpired) return deny(DenialReason::grant_expired);
  if (!rule.roles.empty()) return deny(DenialReason::missing_role);
  if (rule.permission.empty() || choice.usable == nullptr)
    return deny(DenialReason::missing_permission);
  return std::pair(*target, choice.usable);
}

// Which organization the request names; empty view: none, on a route about none.
std::expected<std::string_view, Denial> named_organization(const RequestFacts& facts,
                                                           const Principal* principal) {
  std::string_view named;
  switch (facts.match.rule->place) {
    case OrganizationPlace::path: named = facts.match.organization_in_path; break;
    case OrganizationPlace::header: named = facts.organization_header; break;
    case OrganizationPlace::token:
      if (principal != nullptr) named = principal->organization.view();
      break;
    case OrganizationPlace::none: return std::string_view();
  }
  if (named.empty()) return deny(DenialReason::organization_missing);
  return named;
}

}  // namespace

std::expected<Permit, Denial> authorize(const RequestFacts& facts, const Principal* principal,
                                        const domain::RegistrySnapshot& snapshot,
                                        std::string_view this_region, std::int64_t now_s) {
  if (facts.match.outcome == MatchOutcome::method_not_allowed)
    return deny(DenialReason::method_not_allowed);
  if (facts.match.outcome != MatchOutcome::found || facts.match.rule == nullptr) {
    return deny(DenialReason::no_route);
  }
  const RouteRule& rule = *facts.match.rule;
  if (rule.is_public) principal = nullptr;  // nobody's rights are used, so nobody is named
  if (!rule.is_public) {
    if (principal == nullptr) return deny(DenialReason::unauthenticated);
    if (principal->expires_at <= now_s) return deny(DenialReason::token_expired);
  }
  const auto named = named_organization(facts, principal);
  if (!named) return std::unexpected(named.error());

  Permit permit(rule, principal, snapshot);
  if (rule.is_public) {
    if (named->empty()) return permit;
    const auto organization = snapshot.find(*named);
    if (!organization) return deny(DenialReason::unknown_organization);
    if (!organization->homed_in(this_region))
      return deny(DenialReason::wrong_region, organization->home);
    if (const auto refused = refusal_by_state(organization->state)) return deny(*refused);
    permit.organization_ = *organization;
    return permit;
  }

  const bool own = *named == principal->organization.view();
  GrantChoice choice;
  if (!own) {
    choice = choose_grant(*principal, *named, rule.permission, now_s);
    if (!choice.any) return deny(DenialReason::organization_mismatch);
    snapshot.prefetch(principal->organization.view(), *named);
  }
  const auto mine = own_organization(*principal, snapshot, this_region);
  if (!mine) return std::unexpected(mine.error());
  if (own) {
    if (!has_role(*principal, rule)) return deny(DenialReason::missing_role);
    if (!contains(principal->permissions, rule.permission))
      return deny(DenialReason::missing_permission);
    permit.organization_ = *mine;
    return permit;
  }
  const auto theirs = granted_organization(rule, choice, snapshot, *named, this_region);
  if (!theirs) return std::unexpected(theirs.error());
  permit.organization_ = theirs->first;
  permit.grant_ = theirs->second;
  return permit;
}

}  // namespace domicile::policy
