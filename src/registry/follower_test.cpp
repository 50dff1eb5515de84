#include "registry/follower.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "registry/snapshot_file.h"

namespace domicile::registry {
namespace {

// A registry in memory that behaves as the SQL one does: compacted changes, a chain, pages.
class FakeRegistry final : public RegistrySource {
 public:
  std::string id = std::string(32, 'a');
  std::vector<RegistryEntry> entries;
  std::uint64_t revision = 1;
  std::uint8_t branch = 0;  // another history has another chain
  bool away = false;
  int asked = 0;

  static domain::RegistryChain chain_of(std::uint64_t at, std::uint8_t branch) {
    domain::RegistryChain chain{};
    chain[0] = static_cast<std::uint8_t>(at);
    chain[1] = branch;
    return chain;
  }
  static std::vector<domain::Region> regions() {
    domain::Region ca;
    ca.id = domain::RegionId("ca");
    ca.jurisdiction = domain::JurisdictionId("CA");
    ca.locations = {domain::LocationId("ca")};
    ca.url = "https://ca.test";
    ca.master = true;
    return {ca};
  }

  void put(int n, domain::PlacementState state = domain::PlacementState::active) {
    const std::string key = std::to_string(n);
    std::erase_if(entries,
                  [&](const RegistryEntry& e) { return e.organization.key.text() == key; });
    RegistryEntry entry;
    entry.organization.key = domain::OrgKey(key);
    entry.organization.slug = domain::Slug("s" + key);
    entry.organization.placement = {
        .region = domain::RegionId("ca"), .epoch = ++revision, .state = state};
    entry.organization.revision = revision;
    entries.push_back(entry);
  }

  Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit,
                                std::chrono::milliseconds) override {
    ++asked;
    if (away) return fail(Code::unavailable, "the source is away");
    if (known.revision > revision) return fail(Code::conflict, "went back", "registry_went_back");
    if (known.revision != 0 && known.chain != chain_of(known.revision, branch)) {
      return fail(Code::conflict, "diverged", "registry_diverged");
    }
    RegistryDelta delta;
    delta.regions = regions();
    delta.head = {.registry_id = id, .revision = revision, .chain = chain_of(revision, branch)};
    for (const auto& entry : entries) {
      if (entry.organization.revision <= known.revision) continue;
      if (delta.organizations.size() == limit) {
        delta.more = true;
        const std::uint64_t at =
            limit == 0 ? known.revision : delta.organizations.back().organization.revision;
        delta.head.revision = at;
        delta.head.chain = chain_of(at, branch);
        break;
      }
      delta.organizations.push_back(entry);
    }
    return delta;
  }
};

class FollowerTest : public ::testing::Test {
 protected:
  FollowerTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "follower-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~FollowerTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Follower> follower() {
    return std::make_unique<Follower>(source_, clock_,
                                      Follower::Options{.directory = directory_, .page = 3});
  }
  std::filesystem::path file() const { return directory_ / "registry.snapshot"; }

  FakeRegistry source_;
  FakeClock clock_;
  std::filesystem::path directory_;
};

TEST_F(FollowerTest, FetchesEveryPageBeforeItPublishes) {
  for (int n = 1; n <= 10; ++n) source_.put(n);
  const auto node = follower();
  std::vector<std::size_t> sizes;
  node->subscribe([&](const Follower::Snapshot& snapshot) { sizes.push_back(snapshot->size()); });
  ASSERT_TRUE(node->follow_once({}));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 10}));
  source_.put(4, domain::PlacementState::suspended);
  ASSERT_TRUE(node->follow_once({}));
  EXPECT_EQ(node->current()->find("4")->state, domain::PlacementState::suspended);
  EXPECT_EQ(node->current()->revision(), source_.revision);
}

TEST_F(FollowerTest, ARestartWithTheRegistryAwayServesWhatItKnew) {
  source_.put(1);
  ASSERT_TRUE(follower()->follow_once({}));
  source_.away = true;
  const auto node = follower();
  EXPECT_TRUE(node->current()->find("1"));
  EXPECT_FALSE(node->current()->find("2"));
  EXPECT_EQ(node->follow_once({}).error().code, Code::unavailable);
  EXPECT_TRUE(node->current()->find("1"));
}

TEST_F(FollowerTest, ADamagedSnapshotIsFetchedAnewNeverHalfUsed) {
  for (int n = 1; n <= 10; ++n) source_.put(n);
  ASSERT_TRUE(follower()->follow_once({}));
  std::string bytes = read_file(file()).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(write_file_atomic(file(), bytes));
  const auto node = follower();
  EXPECT_EQ(node->current()->size(), 0u);
  ASSERT_TRUE(node->follow_once({}));
  EXPECT_EQ(node->current()->size(), 10u);
  EXPECT_EQ(load_snapshot(file()).value()->size(), 10u);
}

TEST_F(FollowerTest, RefusesARegistryThatWentBack) {
  for (int n = 1; n <= 5; ++n) source_.put(n);
  const auto node = follower();
  ASSERT_TRUE(node->follow_once({}));
  source_.revision -= 2;
  source_.entries.resize(3);
  EXPECT_EQ(node->follow_once({}).error().reason, "registry_went_back");
  EXPECT_EQ(node->current()->size(), 5u);
}

TEST_F(FollowerTest, RefusesARegistryThatWentBackAndOvertook) {
  for (int n = 1; n <= 5; ++n) source_.put(n);
  ASSERT_TRUE(follower()->follow_once({}));
  source_.branch = 1;
  for (int n = 6; n <= 9; ++n) source_.put(n);
  const auto node = follower();
  EXPECT_EQ(node->follow_once({}).error().reason, "registry_diverged");
  EXPECT_EQ(node->current()->size(), 5u);
}

TEST_F(FollowerTest, RemembersHowFarItWasEvenWithoutItsSnapshot) {
  for (int n = 1; n <= 5; ++n) source_.put(n);
  ASSERT_TRUE(follower()->follow_once({}));
  std::filesystem::remove(file());
  source_.revision -= 2;
  source_.entries.resize(3);
  const auto node = follower();
  EXPECT_EQ(node->follow_once({}).error().reason, "registry_went_back");
  EXPECT_EQ(node->current()->size(), 0u) << "nothing of the older registry is believed";
}

TEST_F(FollowerTest, RefusesAnotherRegistry) {
  source_.put(1);
  const auto node = follower();
  ASSERT_TRUE(node->follow_once({}));
  source_.id = std::string(32, 'b');
  source_.put(2);
  EXPECT_EQ(node->follow_once({}).error().reason, "registry_diverged");
}

TEST_F(FollowerTest, TheThreadFollowsTellsAndStops) {
  source_.put(1);
  SystemClock clock;
  Follower node(source_, clock,
                {.directory = directory_,
                 .poll = std::chrono::milliseconds(5),
                 .wait = std::chrono::milliseconds(0)});
  node.start();
  EXPECT_TRUE(node.wait_past(0, std::chrono::seconds(20)));
  node.stop();
  EXPECT_EQ(node.status().state, FollowerState::following);
  EXPECT_EQ(node.status().organizations, 1u);
  EXPECT_FALSE(node.wait_past(1000, std::chrono::milliseconds(0)));
}

TEST_F(FollowerTest, LetsNobodyWaitOnceItIsToldSo) {
  SystemClock clock;
  Follower node(source_, clock, {.directory = directory_});
  const std::jthread releasing([&] { node.release_waiting(); });
  EXPECT_FALSE(node.wait_past(1000, std::chrono::hours(1)));
}

TEST(SnapshotFile, EveryBitCountsAndEveryCutShows) {
  FakeRegistry source;
  source.put(1);
  domain::RegistrySnapshot::Builder builder;
  builder.regions(FakeRegistry::regions());
  ASSERT_TRUE(builder.put(source.entries[0].organization));
  const std::string whole = encode_snapshot_file(*builder.build(2).value());
  ASSERT_TRUE(decode_snapshot_file(whole));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] ^= 0x10;
    EXPECT_FALSE(decode_snapshot_file(damaged)) << i;
    EXPECT_FALSE(decode_snapshot_file(whole.substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace domicile::registry
