// Active validation: what is checked, and what came of it.
//
// A check has a stable id (DOM-<area>-<number>) that never changes its meaning, so that results can
// be compared over years. A result is about one check and one resource in one region. There are
// four outcomes and no fifth: a check that could not be made is `not_run` (no evidence), one that
// broke on the way is `error`; neither is ever a pass. Findings that a person accepted, with a
// reason and an end, are shown as `accepted` and do not fail the run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "domain/event.h"

namespace domicile::compliance {

enum class CheckStatus { pass, fail, accepted, error, not_run };
std::string_view to_string(CheckStatus status);

struct CheckDefinition {
  std::string_view id;
  std::string_view title;     // the claim that a pass stands for
  std::string_view remedy;    // what to do about a failure
  std::string_view severity;  // of a failure: low, medium, high, critical
  std::string_view standard;  // trust services criteria that it is evidence for
};

// All checks, sorted by id. docs/checks.md explains each.
std::span<const CheckDefinition> check_definitions();
const CheckDefinition* find_check(std::string_view id);

struct CheckResult {
  std::string id;
  std::string region;
  std::string resource;  // what was looked at; "" for the region as a whole
  CheckStatus status = CheckStatus::not_run;
  std::string observed;       // what was seen, or why nothing was; no personal data
  std::uint64_t covered = 0;  // how many things a pass speaks for (tables, organizations, roles)
};

struct CheckSummary {
  std::uint64_t passed = 0, failed = 0, accepted = 0, errors = 0, not_run = 0, excluded = 0;
};

struct CheckReport {
  WallTime started{};
  WallTime finished{};
  std::vector<std::string> regions;
  std::vector<CheckResult> results;   // by region, then id, then resource
  std::vector<std::string> excluded;  // ids or prefixes that the caller left out on purpose
  CheckSummary summary() const;
  int exit_code() const;  // 0 all ran and passed; 1 something failed; 3 something could not run
};

// The finding event of one result: pass is allowed, fail is denied, everything else failed.
domain::Event finding_event(const CheckResult& result, WallTime time,
                            const domain::RegionId& region);

}  // namespace domicile::compliance
