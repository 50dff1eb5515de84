// A check run as text for people, JSON for programs, and JUnit for CI.
#pragma once

#include <string>

#include "compliance/check.h"

namespace domicile::compliance {

// One line a check and region; everything that is not a pass in full, with its remedy.
std::string report_text(const CheckReport& report);
// {"exit_code", "summary", "results": [...], ...}: every result, with title, severity and remedy.
std::string report_json(const CheckReport& report);
// JUnit XML: one test case a check and region. Failures and errors as such, no evidence as an error
// (a skipped test counts as success in most CI systems), acceptances and exclusions as skipped.
std::string report_junit(const CheckReport& report);

}  // namespace domicile::compliance
