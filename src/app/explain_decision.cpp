#include "app/explain_decision.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "policy/authorize.h"
#include "policy/route.h"

namespace domicile::app {
namespace {

using policy::DenialReason;

// The order of authorize(). Which one a reason belongs to is the only knowledge repeated here.
enum Step {
  route_matches,
  method_matches,
  signed_in,
  organization_named,
  own_or_granted,
  own_known,
  own_home,
  own_state,
  own_epoch,
  other_known,
  other_home,
  other_state,
  grant_live,
  role_held,
  permission_held,
  kSteps,
};

constexpr std::string_view kAsks[kSteps] = {
    "a route matches the path",
    "the route takes the method",
    "a verified, unexpired token came along",
    "the request names its organization",
    "it is the caller's own organization, or one that a grant opens",
    "the organization is known to this node",
    "it is homed here, and its own region's issuer vouches for the caller",
    "it is active",
    "the token is of the organization's present epoch",
    "the granted organization is known to this node",
    "the granted organization is homed here",
    "the granted organization is active",
    "the grant has not ended",
    "the caller has one of the route's roles",
    "the caller has the route's permission",
};

// Whether the caller's own organization alone would be refused: then a reason that both can have is
// the own one's, because authorize() looks at it first.
bool own_refused(const DryQuestion& question, const domain::RegistrySnapshot& snapshot,
                 DenialReason reason) {
  policy::RouteRule any;
  any.place = policy::OrganizationPlace::token;
  const policy::RequestFacts facts{.match = {policy::MatchOutcome::found, &any, {}},
                                   .organization_header = {}};
  const auto permit =
      policy::authorize(facts, &*question.principal, snapshot, question.region, question.now_s);
  return !permit && permit.error().reason == reason;
}

bool vouched_elsewhere(const DryQuestion& question, const domain::RegistrySnapshot& snapshot) {
  const auto own = snapshot.find(question.principal->organization);
  return own && !own->homed_in(question.principal->region.view());
}

Step step_of(DenialReason reason, bool own, bool elsewhere) {
  switch (reason) {
    case DenialReason::no_route: return route_matches;
    case DenialReason::method_not_allowed: return method_matches;
    case DenialReason::unauthenticated:
    case DenialReason::token_expired: return signed_in;
    case DenialReason::organization_missing: return organization_named;
    case DenialReason::organization_mismatch: return own_or_granted;
    case DenialReason::unknown_organization: return own ? own_known : other_known;
    case DenialReason::cross_region_token:
    case DenialReason::wrong_region: return own_home;
    case DenialReason::organization_closed:
    case DenialReason::organization_suspended:
    case DenialReason::organization_moving: return own ? own_state : other_state;
    case DenialReason::stale_epoch:
    case DenialReason::snapshot_behind: return elsewhere ? own_home : own_epoch;
    case DenialReason::grant_cross_region: return other_home;
    case DenialReason::grant_expired: return grant_live;
    case DenialReason::missing_role: return role_held;
    case DenialReason::missing_permission: return permission_held;
  }
  return route_matches;
}

template <typename Ids>
std::string joined(const Ids& ids) {
  std::string out;
  for (const auto& id : ids) out += (out.empty() ? "" : " ") + id.text();
  return out.empty() ? "none" : out;
}

std::string place_text(const domain::RegistrySnapshot& snapshot, std::string_view key) {
  const auto view = snapshot.find(key);
  if (!view)
    return fmt::format("{} is not in the snapshot (revision {})", key, snapshot.revision());
  return fmt::format("{}: home {}, {}, epoch {}", key, view->home->id.view(),
                     domain::to_string(view->state), view->epoch);
}

// What was looked at, by step.
class Facts {
 public:
  Facts(const DryQuestion& question, const domain::RegistrySnapshot& snapshot,
        const policy::RouteMatch& match)
      : question_(question), snapshot_(snapshot), match_(match) {
    if (match.rule == nullptr) return;
    switch (match.rule->place) {
      case policy::OrganizationPlace::path: named_ = match.organization_in_path; break;
      case policy::OrganizationPlace::header: named_ = question.organization_header; break;
      case policy::OrganizationPlace::token:
        if (question.principal) named_ = question.principal->organization.view();
        break;
      case policy::OrganizationPlace::none: break;
    }
  }
  bool granted() const {
    return question_.principal && !named_.empty() &&
           named_ != question_.principal->organization.view();
  }
  std::string of(Step step) const {
    const policy::RouteRule* rule = match_.rule;
    if (step == route_matches || step == method_matches) {
      return rule == nullptr ? fmt::format("{} {}", question_.method, question_.path)
                             : fmt::format("{} ({}, line {})", rule->name, rule->path, rule->line);
    }
    if (step == signed_in) return signed_in_text();
    if (step == organization_named) return named_.empty() ? "none" : std::string(named_);
    if (step == role_held || step == permission_held) return rights_text(step);
    const bool of_other = step == other_known || step == other_home || step == other_state;
    if (step == own_or_granted || step == grant_live) return grants_text();
    const std::string_view key =
        of_other || !question_.principal ? named_ : question_.principal->organization.view();
    std::string text = place_text(snapshot_, key);
    if (step == own_home && question_.principal) {
      text += fmt::format("; this region is {}, the token's {}", question_.region,
                          question_.principal->region.view());
    }
    if (step == own_epoch) text += fmt::format("; the token's {}", question_.principal->epoch);
    return text;
  }

 private:
  std::string signed_in_text() const {
    if (match_.rule != nullptr && match_.rule->is_public) return "not needed: the route is public";
    if (!question_.principal) return "no token";
    return fmt::format("{} of organization {}, ends in {} s", question_.principal->subject.view(),
                       question_.principal->organization.view(),
                       question_.principal->expires_at - question_.now_s);
  }
  std::string grants_text() const {
    if (!question_.principal) return "nobody";
    std::string text = fmt::format("the caller's is {}, the request's {}",
                                   question_.principal->organization.view(), named_);
    for (const domain::Grant& grant : question_.principal->grants) {
      text += fmt::format("; grant {} for {} ends in {} s", grant.id, grant.organization.view(),
                          grant.expires_at - question_.now_s);
    }
    return text;
  }
  std::string rights_text(Step step) const {
    if (step == role_held) {
      return match_.rule->roles.empty()
                 ? "the route asks for none"
                 : fmt::format("the route asks for one of {}; the caller has {}",
                               joined(match_.rule->roles), joined(question_.principal->roles));
    }
    if (match_.rule->permission.empty()) return "the route asks for none";
    std::string has = joined(question_.principal->permissions);
    if (granted()) {
      has = "by grant: none";
      for (const domain::Grant& grant : question_.principal->grants) {
        if (grant.organization.view() == named_) has = "by grant: " + joined(grant.permissions);
      }
    }
    return fmt::format("the route asks for {}; the caller has {}", match_.rule->permission.view(),
                       has);
  }

  const DryQuestion& question_;
  const domain::RegistrySnapshot& snapshot_;
  const policy::RouteMatch& match_;
  std::string_view named_;
};

bool applies(Step step, const policy::RouteMatch& match, bool granted) {
  if (step >= other_known && step <= grant_live) return granted;
  if (match.rule == nullptr || !match.rule->is_public) return true;
  if (match.rule->place == policy::OrganizationPlace::none) return step <= signed_in;
  return step <= organization_named || (step >= own_known && step <= own_state);
}

}  // namespace

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::passed: return "passed";
    case StepOutcome::refused: return "refused";
    case StepOutcome::not_reached: return "not_reached";
  }
  return "not_reached";
}

DecisionTrace trace_decision(const policy::RoutePolicy& policy,
                             const domain::RegistrySnapshot& snapshot,
                             const DryQuestion& question) {
  const policy::RequestFacts facts{.match = policy.match(question.method, question.path),
                                   .organization_header = question.organization_header};
  const domain::Principal* principal = question.principal ? &*question.principal : nullptr;
  const auto permit =
      policy::authorize(facts, principal, snapshot, question.region, question.now_s);
  const auto route = permit ? policy::route(*permit, snapshot) : std::unexpected(permit.error());

  DecisionTrace trace;
  trace.permitted = route.has_value();
  Step stop = kSteps;
  const bool is_public = facts.match.rule != nullptr && facts.match.rule->is_public;
  const bool person = principal != nullptr && !is_public;
  if (!route) {
    const policy::Denial& denial = route.error();
    trace.reason = policy::to_string(denial.reason);
    trace.status = policy::status_of(denial.reason);
    if (denial.home != nullptr) {
      trace.home_region = denial.home->id.text();
      trace.home_url = denial.home->url;
    }
    stop = step_of(denial.reason, !person || own_refused(question, snapshot, denial.reason),
                   person && vouched_elsewhere(question, snapshot));
  }
  const Facts seen(question, snapshot, facts.match);
  for (int i = 0; i < kSteps; ++i) {
    const auto step = static_cast<Step>(i);
    if (!applies(step, facts.match, person && seen.granted())) continue;
    DecisionStep out{
        .asks = std::string(kAsks[i]), .seen = "", .outcome = StepOutcome::not_reached};
    if (step <= stop) {
      out.outcome = step == stop ? StepOutcome::refused : StepOutcome::passed;
      out.seen = seen.of(step);
    }
    trace.steps.push_back(std::move(out));
  }
  return trace;
}

}  // namespace domicile::app
