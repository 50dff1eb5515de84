#include "audit/witnesses.h"

#include <gtest/gtest.h>

#include "audit/witness_fixture.h"

namespace domicile::audit {
namespace {

std::string plain(std::uint64_t i) { return "entry " + std::to_string(i); }

class WitnessesTest : public testing::Test {
 protected:
  void open(const std::string& policy, std::chrono::milliseconds absent = std::chrono::hours(1)) {
    const std::string log_line = "log " + log.signer.verifier_key() + "\n";
    parsed = tlog::Policy::parse(log_line + policy).value();
    witnesses = std::make_unique<Witnesses>(
        WitnessesOptions{.policy = parsed,
                         .log = log.folder,
                         .region = test_region(),
                         .absent_ms = absent,
                         .retry_ms = std::chrono::milliseconds(1),
                         .retry_ms_max = std::chrono::milliseconds(5)},
        events, clock, [this](std::uint64_t size, const std::string& note) {
          {
            const std::lock_guard lock(mutex);
            published.emplace_back(size, note);
          }
          changed.notify_all();
        });
  }
  void TearDown() override { witnesses.reset(); }

  void offer(std::uint64_t size) {
    log.grow_to(size, plain);
    log.publish();
    witnesses->offer(log.signed_checkpoint());
  }
  // The witnessed checkpoint of this size, once it is published.
  std::string witnessed(std::uint64_t size) {
    std::unique_lock lock(mutex);
    std::string note;
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] {
      if (published.empty() || published.back().first != size) return false;
      note = published.back().second;
      return true;
    })) << size;
    return note;
  }

  LogFixture log;
  SystemClock clock;
  KeptEvents events;
  tlog::Policy parsed = log.policy;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<std::uint64_t, std::string>> published;
  std::unique_ptr<Witnesses> witnesses;
};

TEST_F(WitnessesTest, AQuorumOfTwoMeetsOnEachCheckpoint) {
  TestWitness a("a.example", {log.signer.key()}), b("b.example", {log.signer.key()});
  open(a.policy_line("A") + b.policy_line("B") + "group both all A B\nquorum both\n");
  for (const std::uint64_t size : {1, 2, 255, 256, 300, 1'000}) {
    offer(size);
    const auto note = witnessed(size);
    EXPECT_EQ(parsed.require(note)->witnesses.size(), 2u);
  }
  EXPECT_EQ(witnesses->witnessed(), 1'000u);
  EXPECT_FALSE(witnesses->quorum_missing());
  EXPECT_TRUE(events.all().empty());
}

TEST_F(WitnessesTest, FindsOutWhatAWitnessKnowsAlready) {
  TestWitness a("a.example", {log.signer.key()});
  open(a.policy_line("A") + "quorum A\n");
  offer(10);
  witnessed(10);
  witnesses.reset();
  open(a.policy_line("A") + "quorum A\n");
  offer(400);
  EXPECT_TRUE(parsed.require(witnessed(400)));
}

TEST_F(WitnessesTest, OneThatIsAwayIsToldOnceAndSoIsItsReturn) {
  TestWitness a("a.example", {log.signer.key()}), b("b.example", {log.signer.key()});
  open(a.policy_line("A") + b.policy_line("B") + "group any1 any A B\nquorum any1\n",
       std::chrono::milliseconds(50));
  const auto port = b.port;
  b.stop();
  offer(10);
  witnessed(10);  // the quorum is there without it
  ASSERT_TRUE(events.wait_for("witness.absent"));
  EXPECT_EQ(events.count("witness.absent"), 1u);
  EXPECT_EQ(events.all().front().severity, "high");
  b.start(port);
  ASSERT_TRUE(events.wait_for("witness.returned"));
  EXPECT_EQ(events.count("witness.absent"), 1u);
  EXPECT_EQ(events.count("witness.quorum_missing"), 0u);
}

TEST_F(WitnessesTest, AMissingQuorumIsToldAndPublishesNothing) {
  TestWitness a("a.example", {log.signer.key()}), b("b.example", {log.signer.key()});
  open(a.policy_line("A") + b.policy_line("B") + "group both all A B\nquorum both\n",
       std::chrono::milliseconds(50));
  const auto port = b.port;
  b.stop();
  offer(10);
  ASSERT_TRUE(events.wait_for("witness.quorum_missing"));
  EXPECT_TRUE(witnesses->quorum_missing());
  EXPECT_TRUE(published.empty());
  b.start(port);
  ASSERT_TRUE(events.wait_for("witness.quorum_restored"));
  EXPECT_TRUE(parsed.require(witnessed(10)));
  EXPECT_EQ(events.count("witness.quorum_missing"), 1u);
}

TEST_F(WitnessesTest, AWitnessThatSawMoreThanTheLogHasIsAConflict) {
  TestWitness a("a.example", {log.signer.key()});
  open(a.policy_line("A") + "quorum A\n");
  offer(50);
  witnessed(50);
  witnesses.reset();
  log.entries.resize(40);  // restored from a backup, or cut
  log.leaves.resize(40);
  open(a.policy_line("A") + "quorum A\n");
  offer(40);
  ASSERT_TRUE(events.wait_for("witness.conflict"));
  EXPECT_EQ(events.all().front().reason, "witness_ahead");
  EXPECT_EQ(events.all().front().severity, "critical");
  EXPECT_EQ(witnesses->status().front().state, WitnessState::conflict);
}

TEST_F(WitnessesTest, ARewrittenHistoryIsAConflict) {
  TestWitness a("a.example", {log.signer.key()});
  open(a.policy_line("A") + "quorum A\n");
  offer(50);
  witnessed(50);
  witnesses.reset();
  log.entries.clear();
  log.leaves.clear();
  log.grow_to(60, [](std::uint64_t i) { return "other " + std::to_string(i); });
  open(a.policy_line("A") + "quorum A\n");
  offer(60);
  ASSERT_TRUE(events.wait_for("witness.conflict"));
  EXPECT_EQ(events.all().front().reason, "witness_disagrees");
  EXPECT_EQ(a.events.count("witness.conflict"), 1u);  // and on its side
}

TEST_F(WitnessesTest, AnAnswerThatIsNotTheWitnessesIsAConflict) {
  TestWitness a("a.example", {log.signer.key()});
  const auto other = tlog::Cosigner::create("a.example", LogFixture::new_key()).value();
  a.handler = [&](const http::Request&) {
    return http::Response{200, {}, other.cosign_line("text\n", 1).value()};
  };
  open(a.policy_line("A") + "quorum A\n");
  offer(3);
  ASSERT_TRUE(events.wait_for("witness.conflict"));
  EXPECT_EQ(events.all().front().reason, "cosignature_invalid");
  EXPECT_TRUE(published.empty());
}

TEST_F(WitnessesTest, WhateverAWitnessAnswersTheLogGoesOn) {
  TestWitness a("a.example", {log.signer.key()}), b("b.example", {log.signer.key()});
  int call = 0;
  b.handler = [&](const http::Request&) -> http::Response {
    switch (call++ % 6) {
      case 0: return {409, {}, "nonsense"};
      case 1: return {409, {}, "99999999999999999999999\n"};
      case 2: return {409, {}, std::to_string(call % 3) + "\n"};
      case 3: return {500, {}, std::string(10'000, 'x')};
      case 4: return {403, {}, ""};
      default: return {200, {}, ""};
    }
  };
  open(a.policy_line("A") + b.policy_line("B") + "quorum A\n");
  for (const std::uint64_t size : {1, 5, 9, 20, 33, 57, 300}) {
    offer(size);
    EXPECT_TRUE(parsed.require(witnessed(size)));
  }
}

}  // namespace
}  // namespace domicile::audit
