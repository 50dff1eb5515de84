#include "compliance/check_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace domicile::compliance {
namespace {

using Json = nlohmann::ordered_json;

// What one check came to in one region: the gravest of its results.
struct Verdict {
  const CheckDefinition* check = nullptr;
  std::string region;
  CheckStatus status = CheckStatus::pass;
  std::uint64_t covered = 0;
  std::vector<const CheckResult*> results;
};

int gravity(CheckStatus status) {
  switch (status) {
    case CheckStatus::pass: return 0;
    case CheckStatus::accepted: return 1;
    case CheckStatus::not_run: return 2;
    case CheckStatus::error: return 3;
    case CheckStatus::fail: return 4;
  }
  return 4;
}

std::vector<Verdict> verdicts_of(const CheckReport& report) {
  std::vector<Verdict> verdicts;
  for (const auto& result : report.results) {
    if (verdicts.empty() || verdicts.back().region != result.region ||
        verdicts.back().check->id != result.id) {
      const CheckDefinition* check = find_check(result.id);
      CHECK(check != nullptr);
      verdicts.push_back({.check = check,
                          .region = result.region,
                          .status = CheckStatus::pass,
                          .covered = 0,
                          .results = {}});
    }
    Verdict& verdict = verdicts.back();
    if (gravity(result.status) > gravity(verdict.status)) verdict.status = result.status;
    verdict.covered += result.covered;
    verdict.results.push_back(&result);
  }
  return verdicts;
}

std::string summary_text(const CheckReport& report) {
  const CheckSummary sum = report.summary();
  std::string text =
      fmt::format("{} passed, {} failed, {} accepted, {} errors, {} without evidence", sum.passed,
                  sum.failed, sum.accepted, sum.errors, sum.not_run);
  if (!report.excluded.empty())
    text += fmt::format("; left out on purpose: {}", fmt::join(report.excluded, ", "));
  return text;
}

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\n': out += "&#10;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string details(const Verdict& verdict) {
  std::string text;
  for (const auto* result : verdict.results) {
    if (result->status == CheckStatus::pass) continue;
    text += fmt::format("{}{}: {}{}{}", text.empty() ? "" : "\n", to_string(result->status),
                        result->resource, result->resource.empty() ? "" : ": ", result->observed);
  }
  return text;
}

}  // namespace

std::string report_text(const CheckReport& report) {
  std::string out;
  std::string region;
  for (const auto& verdict : verdicts_of(report)) {
    if (verdict.region != region) {
      region = verdict.region;
      out += fmt::format("{}{}\n", out.empty() ? "" : "\n", region);
    }
    const bool single = verdict.results.size() == 1 && verdict.status == CheckStatus::pass;
    out += fmt::format(
        "  {:<8} {}  {}{}\n",
        verdict.status == CheckStatus::fail ? "FAIL" : std::string(to_string(verdict.status)),
        verdict.check->id, verdict.check->title,
        single                ? fmt::format(" ({})", verdict.results[0]->observed)
        : verdict.covered > 1 ? fmt::format(" ({} looked at)", verdict.covered)
                              : "");
    bool bad = false;
    for (const auto* result : verdict.results) {
      if (result->status == CheckStatus::pass) continue;
      bad = bad || result->status == CheckStatus::fail;
      out += fmt::format("             {}{}{}\n", result->resource,
                         result->resource.empty() ? "" : ": ", result->observed);
    }
    if (bad) out += fmt::format("             remedy: {}\n", verdict.check->remedy);
  }
  return out + "\n" + summary_text(report);
}

std::string report_json(const CheckReport& report) {
  const CheckSummary sum = report.summary();
  Json json = {{"exit_code", report.exit_code()},
               {"started_ms", report.started.time_since_epoch().count()},
               {"finished_ms", report.finished.time_since_epoch().count()},
               {"regions", report.regions},
               {"excluded", report.excluded},
               {"summary",
                {{"passed", sum.passed},
                 {"failed", sum.failed},
                 {"accepted", sum.accepted},
                 {"errors", sum.errors},
                 {"not_run", sum.not_run}}}};
  Json results = Json::array();
  for (const auto& result : report.results) {
    const CheckDefinition* check = find_check(result.id);
    CHECK(check != nullptr);
    Json item = {{"check", result.id},          {"region", result.region},
                 {"resource", result.resource}, {"status", to_string(result.status)},
                 {"observed", result.observed}, {"covered", result.covered},
                 {"title", check->title},       {"severity", check->severity},
                 {"standard", check->standard}};
    if (result.status != CheckStatus::pass) item["remedy"] = check->remedy;
    results.push_back(std::move(item));
  }
  json["results"] = std::move(results);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string report_junit(const CheckReport& report) {
  const auto verdicts = verdicts_of(report);
  std::size_t failures = 0, errors = 0, skipped = 0;
  std::string cases;
  for (const auto& verdict : verdicts) {
    cases += fmt::format("  <testcase classname=\"{}\" name=\"{} {}\">", xml(verdict.region),
                         verdict.check->id, xml(verdict.check->title));
    switch (verdict.status) {
      case CheckStatus::pass: break;
      case CheckStatus::fail:
        ++failures;
        cases +=
            fmt::format("\n    <failure message=\"{}\" type=\"{}\">{}</failure>\n  ",
                        xml(verdict.check->remedy), verdict.check->severity, xml(details(verdict)));
        break;
      case CheckStatus::error:
      case CheckStatus::not_run:
        ++errors;
        cases +=
            fmt::format("\n    <error message=\"{}\">{}</error>\n  ",
                        verdict.status == CheckStatus::error ? "could not be made" : "no evidence",
                        xml(details(verdict)));
        break;
      case CheckStatus::accepted:
        ++skipped;
        cases += fmt::format("\n    <skipped message=\"{}\"/>\n  ", xml(details(verdict)));
        break;
    }
    cases += "</testcase>\n";
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"domicile check\" tests=\"{}\" "
      "failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n{}</testsuite>\n",
      verdicts.size(), failures, errors, skipped,
      static_cast<double>((report.finished - report.started).count()) / 1000.0, cases);
}

}  // namespace domicile::compliance
