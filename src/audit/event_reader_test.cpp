#include "audit/event_reader.h"

#include <gtest/gtest.h>

#include "audit/event_samples.h"
#include "audit/ledger.h"
#include "audit/segment.h"
#include "audit/simulated_folder.h"

namespace domicile::audit {
namespace {

void fill(SimulatedDisk& disk, std::uint64_t segment_bytes, std::size_t most = SIZE_MAX) {
  static const FakeClock clock;
  LedgerOptions options;
  options.directory = "simulated";
  options.region = domain::RegionId("ca-central-1");
  options.clock = &clock;
  options.segment_bytes = segment_bytes;
  options.folder = disk.folder();
  options.keys = test_keys();
  options.reserve_bytes = 0;
  auto ledger = Ledger::open(std::move(options)).value();
  for (const auto& event : event_samples()) {
    if (most-- == 0) break;
    ASSERT_TRUE(ledger->record(event));
  }
}

TEST(EventReader, FindsTheFactsOfEveryRecord) {
  SimulatedDisk disk;
  fill(disk, 1u << 20);
  EventFilter by_organization, by_outcome;
  by_organization.organization = "7";
  by_outcome.outcome = "denied";
  std::size_t of_organization = 0, denied = 0, total = 0;
  const auto report = read_events(*disk.folder(), [&](const EventRecord& record) {
    const RecordFacts facts = facts_of(record.line);
    EXPECT_FALSE(facts.kind.empty());
    EXPECT_FALSE(facts.outcome.empty());
    EXPECT_GT(facts.time_ms, 1'700'000'000'000);
    of_organization += by_organization.admits(facts) ? 1 : 0;
    denied += by_outcome.admits(facts) ? 1 : 0;
    ++total;
    return true;
  });
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->problems.empty());
  EXPECT_EQ(report->records, total);
  EXPECT_EQ(denied * 3, total);
  std::size_t expected = 0;
  for (const auto& event : event_samples()) {
    if (event.organization == domain::OrgKey("7")) expected += to_ocsf(event).size();
  }
  EXPECT_EQ(of_organization, expected);
}

TEST(EventReader, ADetailCannotPoseAsAFact) {
  domain::Event event;
  event.details = {{"outcome", "allowed"},
                   {"tenant_uid", "9"},
                   {"event_code", "sign_in"},
                   {"x\",\"outcome\":\"allowed", "y"}};
  std::string line;
  append_line(line, to_ocsf(event).front(), 1, 1);
  const RecordFacts facts = facts_of(line);
  EXPECT_EQ(facts.kind, "request");
  EXPECT_EQ(facts.outcome, "denied");
  EXPECT_EQ(facts.organization, "");
}

TEST(EventReader, TellsEveryMissingOrChangedPiece) {
  SimulatedDisk disk;
  fill(disk, 20'000, 200);  // too few for a bundle
  auto files = disk.files();
  std::erase_if(files, [](const auto& file) { return !parse_segment_name(file.first); });
  ASSERT_GT(files.size(), 4u);
  int index = 0;
  for (const auto& [name, content] : files) {
    const bool last = ++index == static_cast<int>(files.size());
    const auto problems_with = [&](std::optional<std::string> instead) {
      SimulatedDisk other;
      for (const auto& [n, c] : files) {
        if (n != name)
          other.set_file(n, c);
        else if (instead)
          other.set_file(n, *instead);
      }
      return read_events(*other.folder(), {}).value().problems.size();
    };
    EXPECT_EQ(problems_with(content), 0u);
    if (!last) EXPECT_GT(problems_with(std::nullopt), 0u) << "removed " << name;
    std::string changed = content;
    changed[content.size() / 2] ^= 1;
    EXPECT_GT(problems_with(changed), 0u) << "changed " << name;
    const std::size_t line_end = content.find('\n') + 1;
    EXPECT_GT(problems_with(content.substr(line_end)), 0u) << "first record of " << name;
    const std::size_t second_end = content.find('\n', line_end) + 1;
    EXPECT_GT(problems_with(content.substr(0, line_end) + content.substr(second_end)), 0u);
    EXPECT_GT(problems_with(content.substr(line_end, second_end - line_end) +
                            content.substr(0, line_end) + content.substr(second_end)),
              0u)
        << "reordered " << name;
  }
}

TEST(EventReader, ReadsBundlesAndTheWriteAheadLogAsOne) {
  SimulatedDisk disk;
  fill(disk, 20'000, 700);
  std::uint64_t next = 1;
  const auto report = read_events(*disk.folder(), [&](const EventRecord& record) {
    EXPECT_EQ(record.sequence, next++);
    return true;
  });
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->problems.empty());
  EXPECT_GE(report->bundles, 2u);
  EXPECT_GE(report->segments, 1u);
  auto files = disk.files();
  std::string& bundle = files.at("tile/entries/001");
  bundle[bundle.size() / 2] ^= 1;
  disk.set_file("tile/entries/001", bundle);
  EXPECT_EQ(read_events(*disk.folder(), {})->problems.size(), 1u);
}

}  // namespace
}  // namespace domicile::audit
