#include "audit/witness_service.h"

#include <thread>

#include <gtest/gtest.h>

#include "audit/log_prover.h"
#include "audit/witness_fixture.h"

namespace domicile::audit {
namespace {

std::string plain(std::uint64_t i) { return "entry " + std::to_string(i); }

class WitnessServiceTest : public testing::Test {
 protected:
  void SetUp() override { open({log.signer.key()}); }
  void open(std::vector<tlog::NoteKey> logs) {
    service = WitnessService::create({state.folder, std::move(logs), test_region()}, cosigner,
                                     events, clock)
                  .value();
  }
  http::Response post(const std::string& body) {
    return service->handle({.method = "POST", .path = "/v1/witness/add-checkpoint", .body = body});
  }
  // What an honest log sends when it believes that the witness knows `old_size`.
  std::string body(std::uint64_t old_size) {
    log.publish();
    const auto source = open_log_source(log.folder.string()).value();
    return tlog::add_checkpoint_body({old_size,
                                      prove_growth(*source, log.checkpoint(), old_size).value(),
                                      log.signed_checkpoint()});
  }
  http::Response grow(std::uint64_t size, std::uint64_t old_size) {
    log.grow_to(size, plain);
    return post(body(old_size));
  }

  LogFixture log, state;
  FakeClock clock;
  KeptEvents events;
  tlog::Cosigner cosigner = tlog::Cosigner::create("w.example", LogFixture::new_key()).value();
  std::unique_ptr<WitnessService> service;
};

TEST_F(WitnessServiceTest, CosignsWhatContinuesAndSaysWhen) {
  for (const auto& [size, old] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {1, 0}, {1, 1}, {2, 1}, {300, 2}, {300, 300}, {1'000, 300}}) {
    const auto response = grow(size, old);
    ASSERT_EQ(response.status, 200) << size << " " << response.body;
    const auto lines = tlog::accept_cosignatures(tlog::checkpoint_text(log.checkpoint()),
                                                 response.body, cosigner.key());
    ASSERT_TRUE(lines);
    EXPECT_EQ(tlog::cosigned_at(lines->front(), cosigner.key()), 1'767'225'600u);
  }
  EXPECT_TRUE(events.all().empty());
}

TEST_F(WitnessServiceTest, EveryRefusalHasItsStatus) {
  ASSERT_EQ(grow(10, 0).status, 200);
  log.grow_to(20, plain);
  const std::string good = body(10);
  const auto status = [&](const std::string& sent) { return post(sent).status; };
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("old x\n\n" + log.signed_checkpoint()), 400);
  EXPECT_EQ(status("old 10\nno hash\n\n" + log.signed_checkpoint()), 400);
  EXPECT_EQ(status("old 10\n\nnot a note\n"), 400);
  EXPECT_EQ(status("old 21\n\n" + log.signed_checkpoint()), 400);
  EXPECT_EQ(service->handle({.method = "GET", .body = good}).status, 405);

  LogFixture stranger;
  stranger.signer = tlog::NoteSigner::create("another/log", LogFixture::new_key()).value();
  EXPECT_EQ(status("old 0\n\n" + stranger.signed_checkpoint()), 404);
  stranger.signer = tlog::NoteSigner::create(log.signer.name(), LogFixture::new_key()).value();
  EXPECT_EQ(status("old 0\n\n" + stranger.signed_checkpoint()), 403);
  const std::string text = tlog::checkpoint_text(log.checkpoint());
  EXPECT_EQ(status("old 10\n\n" + text + "\n" + log.signer.sign_line("else\n").value()), 403);

  const auto conflict = post(body(9));
  EXPECT_EQ(conflict.status, 409);
  EXPECT_EQ(conflict.body, "10\n");
  EXPECT_EQ(conflict.headers[0].second, "text/x.tlog.size");
  EXPECT_EQ(status(body(0)), 409);
  EXPECT_EQ(status("old 10\n\n" + log.signed_checkpoint()), 422);
  EXPECT_EQ(events.count("witness.conflict"), 1u);
  EXPECT_EQ(status(good), 200);
}

TEST_F(WitnessServiceTest, AnotherHistoryIsNeverCosignedAndIsToldOnce) {
  ASSERT_EQ(grow(300, 0).status, 200);
  LogFixture fork;
  fork.signer = log.signer;
  fork.grow_to(300, [](std::uint64_t i) { return i == 7 ? "forged" : plain(i); });
  EXPECT_EQ(post("old 300\n\n" + fork.signed_checkpoint()).status, 409);
  fork.grow_to(400, plain);
  fork.publish();
  const auto source = open_log_source(fork.folder.string()).value();
  const std::string forged = tlog::add_checkpoint_body(
      {300, prove_growth(*source, fork.checkpoint(), 300).value(), fork.signed_checkpoint()});
  EXPECT_EQ(post(forged).status, 422);
  ASSERT_EQ(events.count("witness.conflict"), 1u);
  const auto event = events.all().front();
  EXPECT_EQ(event.severity, "critical");
  EXPECT_EQ(event.reason, "two_histories");
  EXPECT_EQ(grow(310, 300).status, 200);
}

TEST_F(WitnessServiceTest, RemembersAfterARestartAndThroughARotation) {
  ASSERT_EQ(grow(5, 0).status, 200);
  open({log.signer.key()});
  EXPECT_EQ(grow(6, 0).status, 409);
  const auto old_key = log.signer.key();
  log.signer = tlog::NoteSigner::create(log.signer.name(), LogFixture::new_key()).value();
  open({old_key, log.signer.key()});
  EXPECT_EQ(grow(7, 5).status, 200);
  open({log.signer.key()});
  EXPECT_EQ(grow(8, 7).status, 200);
}

TEST_F(WitnessServiceTest, ADamagedMemorySignsNothing) {
  ASSERT_EQ(grow(5, 0).status, 200);
  const auto file = state.files().front();
  const std::string good = state.read(file);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), "x" + good}) {
    state.write(file, bad);
    EXPECT_EQ(grow(6, 5).status, 500);
    EXPECT_EQ(post("old 0\n\n" + log.signed_checkpoint()).status, 500);
  }
  state.write(file, good);
  EXPECT_EQ(grow(6, 5).status, 200);
}

TEST_F(WitnessServiceTest, OfTwoThatAskAtOnceOneWins) {
  ASSERT_EQ(grow(10, 0).status, 200);
  LogFixture fork;  // the same ten entries, then others
  fork.signer = log.signer;
  fork.grow_to(10, plain);
  fork.grow_to(12, [](std::uint64_t) { return "other"; });
  fork.publish();
  const auto source = open_log_source(fork.folder.string()).value();
  const std::string theirs = tlog::add_checkpoint_body(
      {10, prove_growth(*source, fork.checkpoint(), 10).value(), fork.signed_checkpoint()});
  log.grow_to(12, plain);
  const std::string ours = body(10);
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove(state.folder / state.files().front());
    LogFixture ten;
    ten.signer = log.signer;
    ten.grow_to(10, plain);
    ASSERT_EQ(post("old 0\n\n" + ten.signed_checkpoint()).status, 200);
    int a = 0, b = 0;
    {
      std::jthread one([&] { a = post(ours).status; });
      std::jthread two([&] { b = post(theirs).status; });
    }
    EXPECT_EQ(std::min(a, b), 200);
    EXPECT_EQ(std::max(a, b), 409);
  }
}

TEST(WitnessService, ItsKeyIsNoLogsKey) {
  LogFixture log;
  KeptEvents events;
  FakeClock clock;
  const auto key = LogFixture::new_key();
  const auto as_log = tlog::NoteSigner::create("log", key).value();
  const auto cosigner = tlog::Cosigner::create("witness", key).value();
  EXPECT_FALSE(
      WitnessService::create({log.folder, {as_log.key()}, test_region()}, cosigner, events, clock));
  EXPECT_FALSE(WitnessService::create({log.folder, {cosigner.key()}, test_region()}, cosigner,
                                      events, clock));
}

}  // namespace
}  // namespace domicile::audit
