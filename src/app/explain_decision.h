// A decision step by step. The verdict is policy's own: authorize() and route() are called with the
// same values as in the door, and the steps are read off their answer, so that this explanation
// cannot differ from what the door does. Pure; no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/principal.h"
#include "domain/registry_snapshot.h"
#include "policy/route_policy.h"

namespace domicile::app {

enum class StepOutcome { passed, refused, not_reached };
std::string_view to_string(StepOutcome outcome);

struct DecisionStep {
  std::string asks;  // "organization is homed here"
  std::string seen;
  StepOutcome outcome = StepOutcome::not_reached;
};

struct DryQuestion {
  std::string method;
  std::string path;  // decoded, without query: of wire::clean_path
  std::string organization_header;
  std::string region;
  std::optional<domain::Principal> principal;
  std::int64_t now_s = 0;
};

struct DecisionTrace {
  bool permitted = false;
  std::string reason;  // empty when permitted
  int status = 200;
  std::string home_region, home_url;  // where the organization is, when elsewhere
  std::vector<DecisionStep> steps;
};

DecisionTrace trace_decision(const policy::RoutePolicy& policy,
                             const domain::RegistrySnapshot& snapshot, const DryQuestion& question);

}  // namespace domicile::app
