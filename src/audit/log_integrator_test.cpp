// The published log against the naive tree, and against crashes.
#include "audit/log_integrator.h"

#include <set>

#include <gtest/gtest.h>

#include "audit/event_line.h"
#include "audit/log_reader.h"
#include "audit/segment_writer.h"
#include "audit/simulated_folder.h"
#include "tlog/checkpoint.h"
#include "tlog/naive_tree.h"

namespace domicile::audit {
namespace {

using Fault = SimulatedDisk::Fault;

// Every third record has something sealed.
OcsfRecord record_number(std::uint64_t sequence) {
  domain::Event event;
  event.operation = "courses.list";
  event.request_id = "r" + std::to_string(sequence);
  event.time = WallTime(std::chrono::milliseconds(1'767'225'600'123));
  OcsfRecord record = to_ocsf(event).front();
  if (sequence % 3 == 0) record.sealed = "sealed-" + std::to_string(sequence);
  return record;
}

// Appends records in batches of `batch` up to `last`.
Result<void> write_up_to(SegmentWriter& writer, std::uint64_t last, std::uint64_t batch = 50) {
  while (writer.next_sequence() <= last) {
    const std::uint64_t first = writer.next_sequence();
    const std::uint64_t count = std::min(batch, last - first + 1);
    std::string bytes;
    for (std::uint64_t i = 0; i < count; ++i) {
      append_line(bytes, record_number(first + i), first + i, first);
    }
    TRY(writer.append(bytes, count));
  }
  return {};
}

// What a reader must find: a signed checkpoint, every tile and bundle that it commits to, at its
// width and at no other content than the naive tree's. The size.
std::uint64_t check_published(Folder& folder) {
  const auto content = folder.read(kCheckpointFile);
  if (!content) return 0;
  const auto opened = tlog::open_checkpoint(*content, test_keys().verifiers());
  EXPECT_TRUE(opened.has_value()) << *content;
  if (!opened) return 0;
  const std::uint64_t size = opened->checkpoint.size;
  std::vector<tlog::Hash> leaves;
  for (const tlog::TileId& tile : tlog::tiles_of(size)) {
    const auto bytes = folder.read(tlog::tile_path(tile));
    EXPECT_TRUE(bytes.has_value()) << tlog::tile_path(tile) << " of " << size;
    if (tile.level > 0 || !bytes) continue;
    const auto bundle = folder.read(tlog::bundle_path(tile.index, tile.width));
    EXPECT_TRUE(bundle.has_value()) << tlog::bundle_path(tile.index, tile.width);
    if (!bundle) continue;
    const auto entries = tlog::parse_bundle(*bundle, tile.width);
    EXPECT_TRUE(entries.has_value());
    for (const auto entry : entries.value_or(std::vector<std::string_view>())) {
      leaves.push_back(tlog::leaf_hash(entry));
      EXPECT_NE(entry.find("\"r" + std::to_string(leaves.size()) + "\""), entry.npos);
    }
    EXPECT_EQ(*bytes, tlog::tile_bytes(std::span(leaves).subspan(tile.index * 256)));
  }
  EXPECT_EQ(leaves.size(), size);
  tlog::Frontier frontier;
  for (const auto& leaf : leaves) frontier.append(leaf);
  EXPECT_EQ(frontier.root(), opened->checkpoint.root);
  const auto subtrees = tlog::subtrees_from_tiles(
      size, [&](const tlog::TileId& tile) { return folder.read(tlog::tile_path(tile)); });
  EXPECT_EQ(tlog::root_of(size, subtrees).value(), opened->checkpoint.root);
  return size;
}

TEST(LogIntegrator, PublishesTheTreeAtEverySizeAroundTheEdges) {
  SimulatedDisk disk;
  const std::shared_ptr<Folder> folder = disk.folder();
  auto writer = SegmentWriter::open(folder, {.segment_bytes = 40'000}).value();
  auto integrator = LogIntegrator::open(*folder, test_keys()).value();
  EXPECT_EQ(integrator.advance(0).value(), "");
  for (const std::uint64_t size : {1, 2, 3, 254, 255, 256, 257, 258, 511, 512, 513, 1500, 1536}) {
    ASSERT_TRUE(write_up_to(writer, size));
    EXPECT_FALSE(integrator.advance(size).value().empty());
    EXPECT_EQ(check_published(*folder), size);
    EXPECT_EQ(integrator.advance(size).value(), "");
    // Another process takes over at any size.
    integrator = LogIntegrator::open(*folder, test_keys()).value();
    EXPECT_EQ(integrator.published(), size);
  }
  for (const auto& [name, content] : disk.files()) {
    EXPECT_FALSE(name.starts_with("tile/0/000.p")) << "an obsolete partial tile: " << name;
  }
  LogReader reader(*folder);
  EXPECT_EQ(reader.first().value(), 1u);
  EXPECT_EQ(reader.last().value(), 1536u);
  std::uint64_t next = 1;
  while (next <= 1536) {
    const auto entries = reader.read(next, 100).value();
    ASSERT_FALSE(entries.empty());
    for (const LogEntry& entry : entries) {
      EXPECT_EQ(entry.sequence, next);
      EXPECT_EQ(entry.sealed, record_number(next).sealed);
      ++next;
    }
  }
  EXPECT_TRUE(reader.read(1537, 10).value().empty());
}

TEST(LogIntegrator, SegmentsGoWhenFullBundlesHoldThem) {
  SimulatedDisk disk;
  const std::shared_ptr<Folder> folder = disk.folder();
  auto writer = SegmentWriter::open(folder, {.segment_bytes = 20'000}).value();
  auto integrator = LogIntegrator::open(*folder, test_keys()).value();
  ASSERT_TRUE(write_up_to(writer, 700));
  ASSERT_TRUE(integrator.advance(700));
  WalReader wal(*folder);
  const auto first = wal.first().value().value();
  EXPECT_GT(first, 256u);
  EXPECT_LE(first, integrator.needed_from());
  // The writer opens what is left, and refuses when more is gone.
  EXPECT_TRUE(SegmentWriter::open(
      folder, {.needed_from = integrator.needed_from(), .at_least = integrator.published()}));
  EXPECT_FALSE(SegmentWriter::open(folder, {.needed_from = first - 1}));
  EXPECT_FALSE(SegmentWriter::open(folder, {.needed_from = first, .at_least = 701}));
}

TEST(LogIntegrator, ASegmentThatIsReadToItsEndMayGo) {
  SimulatedDisk disk;
  const std::shared_ptr<Folder> folder = disk.folder();
  auto writer = SegmentWriter::open(folder, {.segment_bytes = 1}).value();
  WalReader wal(*folder);
  ASSERT_TRUE(write_up_to(writer, 50));
  EXPECT_EQ(wal.read(1, 100).value().size(), 50u);
  ASSERT_TRUE(write_up_to(writer, 60));
  ASSERT_TRUE(folder->remove("events-00000000000000000001.jsonl"));
  EXPECT_EQ(wal.read(51, 100).value().size(), 10u);
}

TEST(LogIntegrator, ACrashAtAnyOperationLosesNothingPublished) {
  std::mt19937 dice(11);
  for (int operation = 1; operation < 60; ++operation) {
    for (const bool power : {false, true}) {
      SimulatedDisk disk;
      const std::shared_ptr<Folder> folder = disk.folder();
      auto writer = SegmentWriter::open(folder, {.segment_bytes = 20'000}).value();
      ASSERT_TRUE(write_up_to(writer, 800));
      std::uint64_t promised = 0;
      disk.fail_at(operation, Fault::crash);
      if (auto integrator = LogIntegrator::open(*folder, test_keys())) {
        for (const std::uint64_t size : {10, 250, 300, 300, 520, 800}) {
          if (integrator->advance(size)) promised = std::max(promised, size);
        }
      }
      power ? disk.lose_power(dice) : disk.kill();
      ASSERT_GE(check_published(*folder), promised) << operation;
      auto again = LogIntegrator::open(*folder, test_keys());
      ASSERT_TRUE(again) << operation << ": " << again.error().message;
      ASSERT_TRUE(again->advance(800));
      ASSERT_EQ(check_published(*folder), 800u);
    }
  }
}

TEST(LogIntegrator, AFailureIsTriedAgainAndEndsInTheSameTree) {
  for (int operation = 1; operation < 40; ++operation) {
    SimulatedDisk disk;
    const std::shared_ptr<Folder> folder = disk.folder();
    auto writer = SegmentWriter::open(folder, {.segment_bytes = 20'000}).value();
    auto integrator = LogIntegrator::open(*folder, test_keys()).value();
    ASSERT_TRUE(write_up_to(writer, 600));
    disk.fail_at(operation, Fault::error);
    for (const std::uint64_t size : {100, 255, 256, 600, 600}) (void)integrator.advance(size);
    ASSERT_EQ(check_published(*folder), 600u) << operation;
  }
}

TEST(LogIntegrator, ALogThatDoesNotFitItsCheckpointIsRefused) {
  SimulatedDisk disk;
  const std::shared_ptr<Folder> folder = disk.folder();
  auto writer = SegmentWriter::open(folder, {}).value();
  ASSERT_TRUE(write_up_to(writer, 300));
  ASSERT_TRUE(LogIntegrator::open(*folder, test_keys())->advance(300));
  const auto files = disk.files();
  std::set<std::string> vital{kCheckpointFile, "tile/0/001.p/44", "tile/1/000.p/1",
                              "events-00000000000000000001.jsonl"};
  for (const auto& name : vital) {
    std::string changed = files.at(name);
    const std::size_t at = changed.size() - 100 * std::min<std::size_t>(1, changed.size() / 200);
    changed[std::min(at, changed.size() - 5)] ^= 1;
    disk.set_file(name, changed);
    const auto opened = LogIntegrator::open(*folder, test_keys());
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().reason, "audit_damaged");
    disk.set_file(name, files.at(name));
  }
  EXPECT_FALSE(LogIntegrator::open(*folder, LogKeys::in_memory("another/log").value()));
  EXPECT_TRUE(LogIntegrator::open(*folder, test_keys()));
}

TEST(LogIntegrator, WitnessedCheckpointsStandUntilTheNextOne) {
  SimulatedDisk disk;
  const std::shared_ptr<Folder> folder = disk.folder();
  auto writer = SegmentWriter::open(folder, {}).value();
  auto integrator = LogIntegrator::open(*folder, test_keys()).value();
  ASSERT_TRUE(write_up_to(writer, 2));
  const std::string first = integrator.advance(1).value();
  ASSERT_TRUE(integrator.publish_witnessed(1, first + "more\n"));
  EXPECT_EQ(folder->read(kCheckpointFile).value(), first + "more\n");
  const std::string second = integrator.advance(2).value();
  ASSERT_TRUE(integrator.publish_witnessed(1, first + "late\n"));
  EXPECT_EQ(folder->read(kCheckpointFile).value(), second);
  EXPECT_EQ(folder->read(kWitnessedFile).value(), first + "late\n");
}

}  // namespace
}  // namespace domicile::audit
