#include "compliance/check.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "compliance/check_config.h"
#include "compliance/check_report.h"
#include "compliance/findings.h"

namespace domicile::compliance {
namespace {

using testing::HasSubstr;

CheckReport report_of(std::initializer_list<CheckStatus> statuses) {
  CheckReport report;
  report.regions = {"ca"};
  for (const auto status : statuses) {
    report.results.push_back({.id = "DOM-CAT-001",
                              .region = "ca",
                              .resource = "app.\"<t>\"",
                              .status = status,
                              .observed = "a & b",
                              .covered = 1});
  }
  return report;
}

TEST(Check, OnlyEverythingRunAndPassedIsZero) {
  using enum CheckStatus;
  EXPECT_EQ(report_of({pass, pass}).exit_code(), 0);
  EXPECT_EQ(report_of({pass, accepted}).exit_code(), 0);
  EXPECT_EQ(report_of({pass, not_run}).exit_code(), 3);
  EXPECT_EQ(report_of({pass, error}).exit_code(), 3);
  EXPECT_EQ(report_of({pass, error, fail}).exit_code(), 1);
  EXPECT_EQ(report_of({}).exit_code(), 3);  // nothing was looked at
}

TEST(Check, EveryDefinitionIsComplete) {
  for (const auto& check : check_definitions()) {
    EXPECT_TRUE(check.id.starts_with("DOM-") && find_check(check.id) == &check) << check.id;
    EXPECT_FALSE(check.title.empty() || check.remedy.empty() || check.standard.empty()) << check.id;
    EXPECT_THAT(std::string(check.severity), testing::AnyOf("low", "medium", "high", "critical"))
        << check.id;
  }
  EXPECT_EQ(find_check("DOM-NO-001"), nullptr);
}

TEST(Check, EveryIdIsExplainedInTheDocumentation) {
  const auto file = std::filesystem::path(__FILE__).parent_path() / "../../docs/checks.md";
  const std::string text = read_file(file).value();
  for (const auto& check : check_definitions()) EXPECT_THAT(text, HasSubstr(std::string(check.id)));
}

TEST(Findings, AnAcceptanceHoldsUntilItsEndAndOnlyForItsResource) {
  const std::vector<Acceptance> accepted{{.check = "DOM-RLS-004",
                                          .region = "ca",
                                          .resource = "app.slug",
                                          .reason = "public",
                                          .until_s = 1000}};
  const auto status = [&](const char* region, const char* resource, std::int64_t now) {
    Findings findings(region, accepted, now);
    findings.fail("DOM-RLS-004", resource, "unique");
    return findings.take().front().status;
  };
  EXPECT_EQ(status("ca", "app.slug", 999), CheckStatus::accepted);
  EXPECT_EQ(status("ca", "app.slug", 1000), CheckStatus::fail);
  EXPECT_EQ(status("ca", "app.other", 999), CheckStatus::fail);
  EXPECT_EQ(status("us", "app.slug", 999), CheckStatus::fail);
}

TEST(CheckReport, IsJsonAndEscapedXml) {
  using enum CheckStatus;
  const CheckReport report = report_of({pass, fail});
  const auto json = nlohmann::json::parse(report_json(report));
  EXPECT_EQ(json["exit_code"], 1);
  EXPECT_EQ(json["results"][1]["status"], "fail");
  EXPECT_THAT(report_junit(report), HasSubstr("fail: app.&quot;&lt;t&gt;&quot;: a &amp; b"));
  EXPECT_THAT(report_junit(report), HasSubstr("tests=\"1\" failures=\"1\""));
  EXPECT_THAT(report_junit(report_of({not_run})), HasSubstr("<error message=\"no evidence\">"));
  EXPECT_THAT(report_text(report), HasSubstr("FAIL     DOM-CAT-001"));
}

constexpr const char* kWhole = R"(
exclude = ["DOM-RTE"]
[registry]
snapshot = "registry.snapshot"
[[region]]
name = "ca-central-1"
dsn_file = "ca.dsn"
system_identifier = "7"
database_id = "5f"
url = "https://ca.example.com"
roles = ["installer"]
[[region.canary]]
table = "app.lessons"
column = "title"
value = "domicile-canary-4b1f0c2d9e"
[[region.probe]]
organization = "7"
path = "/courses"
token_file = "org7.token"
[[accept]]
check = "DOM-RLS-004"
reason = "public"
until = 2027-06-30
)";

TEST(CheckConfig, ReadsAWholeFile) {
  const auto config = parse_check_config(kWhole, "checks.toml", "/etc/d");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->regions.at(0).dsn_file, "/etc/d/ca.dsn");
  EXPECT_EQ(config->regions.at(0).canaries.at(0).schema, "app");
  EXPECT_EQ(config->regions.at(0).probes.at(0).organization.text(), "7");
  EXPECT_EQ(config->accepted.at(0).until_s, 1814400000);  // the end of that day
}

TEST(CheckConfig, TellsEveryErrorWithItsLine) {
  const auto refused = parse_check_config(R"(
exclude = ["DOM-NO"]
colour = "red"
[[region]]
name = "Ca Central"
url = "ftp://x/"
[[region.probe]]
organization = "7"
path = "courses"
[[accept]]
check = "DOM-RLS-004"
reason = "public"
)",
                                          "checks.toml", ".");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  for (const char* part :
       {"checks.toml:3: the file: unknown key \"colour\"", "dsn_file is missing",
        "until must be a date", "no check is called DOM-NO", "path must start with /",
        "give token_file", "must be an https:// address"}) {
    EXPECT_THAT(refused.error().message, HasSubstr(part));
  }
}

}  // namespace
}  // namespace domicile::compliance
