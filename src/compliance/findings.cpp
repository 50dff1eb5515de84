#include "compliance/findings.h"

#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace domicile::compliance {

Findings::Findings(std::string region, const std::vector<Acceptance>& accepted, std::int64_t now_s)
    : region_(std::move(region)), accepted_(accepted), now_s_(now_s) {}

void Findings::add(std::string_view id, std::string resource, CheckStatus status,
                   std::string observed, std::uint64_t covered) {
  CHECK(find_check(id) != nullptr);
  said_.emplace(id);
  results_.push_back({.id = std::string(id),
                      .region = region_,
                      .resource = std::move(resource),
                      .status = status,
                      .observed = std::move(observed),
                      .covered = covered});
}

void Findings::pass(std::string_view id, std::string resource, std::string observed,
                    std::uint64_t covered) {
  add(id, std::move(resource), CheckStatus::pass, std::move(observed), covered);
}

void Findings::fail(std::string_view id, std::string resource, std::string observed) {
  for (const auto& accepted : accepted_) {
    const bool fits = accepted.check == id &&
                      (accepted.region.empty() || accepted.region == region_) &&
                      (accepted.resource.empty() || accepted.resource == resource);
    if (!fits) continue;
    if (accepted.until_s > now_s_) {
      add(id, std::move(resource), CheckStatus::accepted,
          fmt::format("{} (accepted: {})", observed, accepted.reason), 0);
      return;
    }
    observed += fmt::format(" (its acceptance has ended: {})", accepted.reason);
  }
  add(id, std::move(resource), CheckStatus::fail, std::move(observed), 0);
}

void Findings::error(std::string_view id, std::string resource, std::string why) {
  add(id, std::move(resource), CheckStatus::error, std::move(why), 0);
}

void Findings::not_run(std::string_view id, std::string why) {
  add(id, "", CheckStatus::not_run, std::move(why), 0);
}

void Findings::pass_unless_said(std::string_view id, std::string observed, std::uint64_t covered) {
  if (!said(id)) pass(id, "", std::move(observed), covered);
}

}  // namespace domicile::compliance
