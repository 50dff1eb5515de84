#include "audit/ocsf.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "audit/event_line.h"
#include "audit/event_samples.h"
#include "audit/personal_vault.h"
#include "audit/scratch_folder.h"

namespace domicile::audit {
namespace {

using domain::Event;
using domain::EventKind;
using domain::Outcome;
using Json = nlohmann::ordered_json;

std::string line_of(const OcsfRecord& record, std::uint64_t sequence = 41) {
  std::string line;
  append_line(line, record, sequence, 40);
  EXPECT_EQ(line.back(), '\n');
  line.pop_back();
  return line;
}

void expect_sorted(const Json& value, const std::string& place) {
  if (value.is_array()) {
    for (const auto& item : value) expect_sorted(item, place + "[]");
  }
  if (!value.is_object()) return;
  std::string before;
  for (const auto& [name, member] : value.items()) {
    const bool frame = place.ends_with(".unmapped") && (name == "batch" || name == "xxh3");
    if (name != "unmapped" && !frame) {
      EXPECT_LT(before, name) << "in " << place;
      before = name;
    }
    expect_sorted(member, place + "." + name);
  }
}

TEST(Ocsf, EveryRecordIsCanonicalAndTellsItsClass) {
  for (const Event& event : event_samples()) {
    const auto records = to_ocsf(event);
    EXPECT_EQ(records.size(), event.kind == EventKind::cross_region ? 2u : 1u);
    for (const auto& record : records) {
      const std::string line = line_of(record);
      const Json json = Json::parse(line);
      EXPECT_EQ(json.dump(), line);  // no insignificant space, no needless escape
      expect_sorted(json, "");
      EXPECT_EQ(json.at("type_uid").get<int>(),
                json.at("class_uid").get<int>() * 100 + json.at("activity_id").get<int>());
      EXPECT_EQ(json.at("category_uid").get<int>(), json.at("class_uid").get<int>() / 1000);
      EXPECT_EQ(json.at("metadata").at("sequence").get<int>(), 41);
      EXPECT_EQ(json.at("metadata").at("event_code").get<std::string>(), to_string(event.kind));
      EXPECT_EQ(json.at("cloud").at("region").get<std::string>(), "ca-central-1");
      EXPECT_EQ(json.at("metadata").value("tenant_uid", ""), event.organization.text());
      EXPECT_TRUE(parse_line(line));
    }
  }
}

TEST(Ocsf, TheSameEventGivesTheSameBytes) {
  for (Event event : event_samples()) {
    const auto once = line_of(to_ocsf(event).front());
    std::ranges::reverse(event.details);
    EXPECT_EQ(line_of(to_ocsf(event).front()), once);
  }
}

TEST(Ocsf, AWrongRegionEventHoldsNobody) {
  for (Event event : event_samples()) {
    if (event.kind == EventKind::request) event.reason = "wrong_region";
    if (event.kind != EventKind::request && event.kind != EventKind::cross_region) continue;
    for (const auto& record : to_ocsf(event)) {
      const std::string line = line_of(record);
      for (const char* personal : {"user-4711", "203.0.113.9", "user-12", "org_7", "/courses",
                                   "courses.list", "\"8\"", "a0b1"}) {
        EXPECT_EQ(line.find(personal), line.npos) << personal << " in " << line;
      }
      const Json json = Json::parse(line);
      EXPECT_EQ(json.at("metadata").value("tenant_uid", ""), event.organization.text());
      EXPECT_EQ(json.at("metadata").value("correlation_uid", ""), event.request_id);
    }
  }
}

TEST(Ocsf, KeepsAnyTextAsJson) {
  Event event;
  event.region = domain::RegionId("ca-central-1");
  event.operation = std::string("a\"b\\c\n\t\x01\x7f\xff\xc3\xa9\xed\xa0\x80\0z", 17);
  const std::string line = line_of(to_ocsf(event).front());
  EXPECT_EQ(line.find('\n'), line.npos);
  EXPECT_EQ(line.find('\0'), line.npos);
  const auto operation = Json::parse(line).at("api").at("operation").get<std::string>();
  EXPECT_TRUE(operation.starts_with("a\"b\\c\n\t\x01\x7f\xEF\xBF\xBD\xc3\xa9"));
}

TEST(Ocsf, CutsWhatIsTooLongAndSaysSo) {
  Event event;
  event.kind = EventKind::sign_in;
  event.region = domain::RegionId("ca-central-1");
  event.actor = domain::UserId(std::string(5000, 'x'));
  event.request_id = std::string(100'000, '\x01');
  for (int i = 0; i < 1000; ++i) {
    event.details.emplace_back("d" + std::to_string(i), std::string(3000, '\x02'));
  }
  const std::string line = line_of(to_ocsf(event).front());
  EXPECT_LT(line.size(), kLineBytesMax);
  EXPECT_TRUE(Json::parse(line).at("metadata").at("is_truncated").get<bool>());
  EXPECT_TRUE(parse_line(line));
}

TEST(EventLine, AnyChangedByteBreaksTheFrame) {
  const std::string line = line_of(to_ocsf(event_samples().at(3)).front());
  for (std::size_t at = 0; at < line.size(); ++at) {
    std::string changed = line;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(parse_line(changed)) << at;
    EXPECT_FALSE(parse_line(line.substr(0, at)));
  }
}

std::filesystem::path vectors() {
  if (const char* named = std::getenv("DOMICILE_VECTORS")) return named;
  return std::filesystem::path(__FILE__).parent_path() / "../../../shared/vectors";
}

TEST(Ocsf, EveryKindFitsThePublishedSchema) {
  const auto schemas = vectors() / "ocsf-1.8.0";
  if (!std::filesystem::exists(schemas)) {
    GTEST_SKIP() << "no OCSF schemas at " << schemas
                 << "; they are published at https://schema.ocsf.io/1.8.0";
  }
  const auto checker =
      std::filesystem::path(__FILE__).parent_path() / "../../tests/support/ocsf_schema.py";
  const auto file = std::filesystem::temp_directory_path() / "domicile_ocsf_samples.jsonl";
  const ScratchFolder scratch;
  const SystemClock clock;
  const auto vault = PersonalVault::open({.key_directory = scratch.path() / "keys",
                                          .master_file = scratch.path() / "master.key",
                                          .clock = &clock})
                         .value();
  {
    std::ofstream out(file);
    for (const Event& event : event_samples()) {
      for (const auto& record : to_ocsf(event)) out << line_of(record) << '\n';
      for (auto& record : to_ocsf(event, vault.get()).value()) {  // and with nobody in it
        record.sealed.clear();
        out << line_of(record) << '\n';
      }
    }
  }
  const std::string command =
      "/usr/bin/python3 " + checker.string() + " " + schemas.string() + " " + file.string();
  FILE* checking = ::popen(command.c_str(), "r");
  ASSERT_NE(checking, nullptr);
  std::string said;
  for (int c = 0; (c = std::fgetc(checking)) != EOF;) said += static_cast<char>(c);
  EXPECT_EQ(::pclose(checking), 0) << said;
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace domicile::audit
