// Collects the results of one region. Acceptances are applied here, once, so that no check can
// forget them; and a check that reported nothing wrong gets its pass here, with what it covered.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "compliance/check.h"
#include "compliance/check_config.h"

namespace domicile::compliance {

class Findings {
 public:
  // `accepted` must outlive this; `now_s` decides which acceptances still hold.
  Findings(std::string region, const std::vector<Acceptance>& accepted, std::int64_t now_s);

  void pass(std::string_view id, std::string resource, std::string observed, std::uint64_t covered);
  void fail(std::string_view id, std::string resource, std::string observed);
  void error(std::string_view id, std::string resource, std::string why);
  void not_run(std::string_view id, std::string why);
  // A pass for the region as a whole, unless something was already said about this check.
  void pass_unless_said(std::string_view id, std::string observed, std::uint64_t covered);
  bool said(std::string_view id) const { return said_.contains(id); }

  const std::string& region() const { return region_; }
  std::vector<CheckResult> take() { return std::move(results_); }

 private:
  void add(std::string_view id, std::string resource, CheckStatus status, std::string observed,
           std::uint64_t covered);
  std::string region_;
  const std::vector<Acceptance>& accepted_;
  std::int64_t now_s_;
  std::vector<CheckResult> results_;
  std::set<std::string, std::less<>> said_;
};

}  // namespace domicile::compliance
