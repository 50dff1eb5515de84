#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "audit/ledger.h"
#include "audit/segment.h"
#include "audit/simulated_folder.h"

namespace domicile::audit {
namespace {

using domain::Event;
using domain::EventKind;
using Fault = SimulatedDisk::Fault;

Event request(const std::string& id) {
  Event event;
  event.kind = EventKind::request;
  event.outcome = domain::Outcome::allowed;
  event.operation = "courses.list";
  event.request_id = id;
  return event;
}

Result<std::unique_ptr<Ledger>> open_on(SimulatedDisk& disk, const Clock& clock) {
  LedgerOptions options;
  options.directory = "simulated";
  options.region = domain::RegionId("ca-central-1");
  options.clock = &clock;
  options.segment_bytes = 3000;
  options.folder = disk.folder();
  options.keys = test_keys();
  options.reserve_bytes = 0;
  return Ledger::open(std::move(options));
}

// Every record in the folder by sequence; fails the test on a gap, a repetition or damage.
std::map<std::uint64_t, std::string> records_on(const SimulatedDisk& disk) {
  std::map<std::uint64_t, std::string> records;
  std::uint64_t expected = 1;
  for (const auto& [name, content] : disk.files()) {
    const auto first = parse_segment_name(name);
    if (!first) continue;
    EXPECT_EQ(*first, expected);
    const auto scan = scan_segment(
        content, *first, [&](const LineFrame& frame, std::string_view line, std::string_view) {
          records[frame.sequence] = std::string(line);
        });
    EXPECT_EQ(scan.tail, Tail::clean) << name << ": " << scan.problem;
    expected = scan.next_sequence;
  }
  return records;
}

bool holds(const std::map<std::uint64_t, std::string>& records, std::uint64_t sequence,
           const std::string& id) {
  const auto at = records.find(sequence);
  return at != records.end() &&
         at->second.find("\"correlation_uid\":\"" + id + "\"") != std::string::npos;
}

// Writes in batches of several sizes; returns what was acknowledged.
std::map<std::uint64_t, std::string> write_some(Ledger& ledger, const std::string& prefix) {
  std::map<std::uint64_t, std::string> acknowledged;
  for (int round = 0; round < 6; ++round) {
    std::vector<std::jthread> writers;
    std::mutex mutex;
    for (int i = 0; i <= round % 3; ++i) {
      writers.emplace_back([&, id = prefix + std::to_string(round) + "-" + std::to_string(i)] {
        const auto done = ledger.record(request(id));
        const std::lock_guard lock(mutex);
        if (done) acknowledged[*done] = id;
      });
    }
  }
  return acknowledged;
}

TEST(LedgerCrash, EveryAcknowledgedEventSurvivesACrashAtEveryOperation) {
  FakeClock clock;
  std::mt19937 dice(7);
  int crashes = 0;
  for (const bool power : {false, true}) {
    for (int operation = 1; operation < 40; ++operation) {
      for (int variant = 0; variant < (power ? 6 : 1); ++variant) {
        SimulatedDisk disk;
        disk.fail_at(operation, Fault::crash);
        std::map<std::uint64_t, std::string> acknowledged;
        if (auto ledger = open_on(disk, clock)) acknowledged = write_some(**ledger, "a");
        crashes += disk.crashed() ? 1 : 0;
        power ? disk.lose_power(dice) : disk.kill();
        auto ledger = open_on(disk, clock);
        ASSERT_TRUE(ledger) << "operation " << operation << ": " << ledger.error().message;
        const auto after = write_some(**ledger, "b");
        ledger->reset();
        const auto records = records_on(disk);
        for (const auto& [sequence, id] : acknowledged) {
          EXPECT_TRUE(holds(records, sequence, id))
              << "operation " << operation << " lost " << sequence;
        }
        EXPECT_EQ(after.size(), 12u);
        for (const auto& [sequence, id] : after) EXPECT_TRUE(holds(records, sequence, id));
      }
    }
  }
  EXPECT_GT(crashes, 100);
}

TEST(LedgerCrash, AFailedOperationRefusesItsEventsAndLeavesNoTrace) {
  FakeClock clock;
  for (int operation = 1; operation < 40; ++operation) {
    SimulatedDisk disk;
    auto ledger = open_on(disk, clock).value();
    disk.fail_at(operation, Fault::error);
    auto acknowledged = write_some(*ledger, "a");
    acknowledged.merge(write_some(*ledger, "b"));
    EXPECT_GE(acknowledged.size(), 20u);
    ledger.reset();
    const auto records = records_on(disk);
    EXPECT_EQ(records.size(), acknowledged.size()) << "operation " << operation;
    for (const auto& [sequence, id] : acknowledged) EXPECT_TRUE(holds(records, sequence, id));
  }
}

TEST(LedgerCrash, AFullDiskRefusesAndGoesOnWhenThereIsSpace) {
  FakeClock clock;
  SimulatedDisk disk;
  auto ledger = open_on(disk, clock).value();
  EXPECT_EQ(ledger->record(request("first")).value(), 1u);
  disk.set_capacity(900);
  for (int i = 0; i < 3; ++i) {
    const auto refused = ledger->record(request("refused"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_EQ(refused.error().reason, "audit_unavailable");
  }
  EXPECT_FALSE(ledger->stats().last_error.empty());
  disk.set_capacity(SIZE_MAX);
  EXPECT_EQ(ledger->record(request("second")).value(), 2u);
  EXPECT_TRUE(ledger->stats().last_error.empty());
  ledger.reset();
  const auto records = records_on(disk);
  EXPECT_EQ(records.size(), 2u);
  EXPECT_TRUE(holds(records, 2, "second"));
}

std::unique_ptr<Ledger> open_with_reserve(SimulatedDisk& disk, const Clock& clock) {
  LedgerOptions options;
  options.directory = "simulated";
  options.region = domain::RegionId("ca-central-1");
  options.clock = &clock;
  options.folder = disk.folder();
  options.keys = test_keys();
  options.reserve_bytes = 20'000;
  options.checkpoint_ms = std::chrono::milliseconds(1);
  return Ledger::open(std::move(options)).value();
}

TEST(LedgerCrash, TheReserveIsForActsAndNotForTiles) {
  FakeClock clock;
  SimulatedDisk disk;
  auto ledger = open_with_reserve(disk, clock);
  ASSERT_TRUE(ledger->record(request("before")));
  while (ledger->stats().published < 1) std::this_thread::yield();
  Event act = request("act");
  act.kind = EventKind::policy_changed;
  disk.set_capacity(disk.used_bytes() + 100);
  ASSERT_TRUE(ledger->record(act));
  ledger.reset();  // publishes what it may
  EXPECT_FALSE(disk.files().contains("tile/entries/000.p/2"));
  disk.set_capacity(SIZE_MAX);
  ledger = open_with_reserve(disk, clock);
  ledger.reset();
  EXPECT_TRUE(disk.files().contains("tile/entries/000.p/2"));
}

TEST(LedgerCrash, OnAFullDiskAdministratorsAreStillRecorded) {
  FakeClock clock;
  SimulatedDisk disk;
  auto ledger = open_with_reserve(disk, clock);
  ASSERT_TRUE(ledger->record(request("before")));
  while (ledger->stats().published < 1) std::this_thread::yield();
  Event act = request("act");
  act.kind = EventKind::policy_changed;
  disk.set_capacity(disk.used_bytes() + 100);
  EXPECT_FALSE(ledger->record(request("refused")));
  EXPECT_TRUE(ledger->record(act)) << "the reserve makes room";
  EXPECT_TRUE(ledger->stats().administrators_only);
  EXPECT_FALSE(ledger->record(request("the reserve is not for everybody")));
  int acts = 0;
  while (ledger->record(act)) ++acts;
  EXPECT_GT(acts, 12) << "all of the reserve is for acts";
  EXPECT_EQ(ledger->stats().published, 1u);
  disk.set_capacity(SIZE_MAX);
  EXPECT_TRUE(ledger->record(act));
  EXPECT_FALSE(ledger->record(request("not before the reserve is set aside again")));
  clock.advance(std::chrono::seconds(2));
  EXPECT_TRUE(ledger->record(request("after")));
  EXPECT_FALSE(ledger->stats().administrators_only);
  EXPECT_TRUE(ledger->stats().last_error.empty());
}

TEST(LedgerCrash, ACutWriteIsKeptBesideAndReported) {
  FakeClock clock;
  SimulatedDisk disk;
  {
    auto ledger = open_on(disk, clock).value();
    ASSERT_TRUE(ledger->record(request("whole")));
    disk.fail_at(1, Fault::crash);
    EXPECT_FALSE(ledger->record(request("torn")));
  }
  disk.kill();
  auto ledger = open_on(disk, clock).value();
  EXPECT_GT(ledger->stats().torn_bytes, 0u);
  ledger.reset();
  const auto records = records_on(disk);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_NE(records.at(2).find("log.recovered"), std::string::npos);
  EXPECT_NE(disk.files().at("torn-events-00000000000000000001-1").find("torn"), std::string::npos);
}

TEST(LedgerCrash, AChangedByteIsNeverTakenForATornWrite) {
  FakeClock clock;
  SimulatedDisk disk;
  {
    auto ledger = open_on(disk, clock).value();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(ledger->record(request("r" + std::to_string(i))));
  }
  const std::string name = segment_name(1);
  const std::string whole = disk.files().at(name);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char flip : {'\x01', '\x80'}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      disk.set_file(name, changed);
      const auto ledger = open_on(disk, clock);
      ASSERT_FALSE(ledger) << "byte " << at;
      EXPECT_EQ(ledger.error().reason, "audit_damaged");
      EXPECT_EQ(disk.files().at(name), changed);
    }
  }
}

TEST(LedgerCrash, AMissingSegmentOrRecordIsRefused) {
  FakeClock clock;
  SimulatedDisk disk;
  {
    auto ledger = open_on(disk, clock).value();
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(ledger->record(request(std::to_string(i))));
  }
  auto files = disk.files();
  std::erase_if(files, [](const auto& file) { return !parse_segment_name(file.first); });
  ASSERT_GE(files.size(), 3u);
  SimulatedDisk without_middle;
  SimulatedDisk without_first_lines;
  int index = 0;
  for (const auto& [name, content] : files) {
    if (++index != static_cast<int>(files.size()) - 1) without_middle.set_file(name, content);
    const bool last = index == static_cast<int>(files.size());
    without_first_lines.set_file(name, last ? content.substr(content.find('\n') + 1) : content);
  }
  EXPECT_FALSE(open_on(without_middle, clock));
  EXPECT_FALSE(open_on(without_first_lines, clock));
}

}  // namespace
}  // namespace domicile::audit
