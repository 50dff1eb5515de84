#include "compliance/check.h"

#include "base/check.h"

namespace domicile::compliance {

std::string_view to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::pass: return "pass";
    case CheckStatus::fail: return "fail";
    case CheckStatus::accepted: return "accepted";
    case CheckStatus::error: return "error";
    case CheckStatus::not_run: return "not run";
  }
  return "not run";
}

CheckSummary CheckReport::summary() const {
  CheckSummary sum;
  for (const auto& result : results) {
    switch (result.status) {
      case CheckStatus::pass: ++sum.passed; break;
      case CheckStatus::fail: ++sum.failed; break;
      case CheckStatus::accepted: ++sum.accepted; break;
      case CheckStatus::error: ++sum.errors; break;
      case CheckStatus::not_run: ++sum.not_run; break;
    }
  }
  sum.excluded = excluded.size();
  return sum;
}

int CheckReport::exit_code() const {
  const CheckSummary sum = summary();
  if (sum.failed > 0) return 1;
  return sum.errors + sum.not_run > 0 || sum.passed == 0 ? 3 : 0;
}

domain::Event finding_event(const CheckResult& result, WallTime time,
                            const domain::RegionId& region) {
  const CheckDefinition* check = find_check(result.id);
  CHECK(check != nullptr);
  domain::Event event;
  event.kind = domain::EventKind::finding;
  event.activity = domain::Activity::create;
  event.time = time;
  event.region = region;
  event.operation = result.id;
  event.resource = result.resource.empty() ? result.region : result.region + "/" + result.resource;
  switch (result.status) {
    case CheckStatus::pass: event.outcome = domain::Outcome::allowed; break;
    case CheckStatus::fail:
      event.outcome = domain::Outcome::denied;
      event.severity = check->severity;
      break;
    case CheckStatus::accepted:
      event.outcome = domain::Outcome::denied;
      event.severity = "informational";
      event.reason = "accepted";
      break;
    case CheckStatus::error:
    case CheckStatus::not_run:
      event.outcome = domain::Outcome::failed;
      event.reason = result.status == CheckStatus::error ? "error" : "not_run";
      break;
  }
  event.details = {{"title", std::string(check->title)},
                   {"observed", result.observed},
                   {"covered", std::to_string(result.covered)},
                   {"standards", std::string(check->standard)}};
  if (result.status != CheckStatus::pass) event.details.emplace_back("remedy", check->remedy);
  return event;
}

}  // namespace domicile::compliance
