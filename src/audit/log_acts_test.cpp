#include "audit/log_acts.h"

#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "audit/act_spool.h"
#include "audit/log_holds.h"
#include "audit/log_reader.h"
#include "audit/log_retention.h"
#include "audit/log_verifier.h"
#include "audit/scratch_folder.h"
#include "base/file.h"

namespace domicile::audit {
namespace {

using Json = nlohmann::json;

class Acts : public ::testing::Test {
 protected:
  void SetUp() override { start(); }
  void TearDown() override { stop(); }

  void start() {
    vault_ = PersonalVault::open({.key_directory = folder("keys"),
                                  .master_file = scratch_.path() / "master.key",
                                  .clock = &clock_})
                 .value();
    LedgerOptions options;
    options.directory = folder("log");
    options.key_directory = folder("keys");
    options.region = domain::RegionId("ca-central-1");
    options.clock = &clock_;
    options.vault = vault_.get();
    options.durability = Durability::none;
    options.segment_bytes = 4096;
    options.checkpoint_ms = std::chrono::milliseconds(10);
    ledger_ = Ledger::open(std::move(options)).value();
    acts_ = std::make_unique<LogActs>(LogActsOptions{.directory = folder("log"),
                                                     .key_directory = folder("keys"),
                                                     .origin = "domicile/ca-central-1",
                                                     .retention_days = 30},
                                      *ledger_, *vault_, clock_);
  }
  // Publishes everything on the way.
  void stop() {
    acts_.reset();
    ledger_.reset();
    vault_.reset();
  }
  void restart() {
    stop();
    start();
  }

  std::filesystem::path folder(const char* name) const { return scratch_.path() / name; }
  std::uint64_t request(const char* actor) {
    domain::Event event;
    event.outcome = domain::Outcome::allowed;
    event.organization = domain::OrgKey("7");
    event.actor = domain::UserId(actor);
    event.operation = "courses.list";
    return ledger_->record(std::move(event)).value();
  }
  Json perform(const LogAct& act) {
    const auto receipt = acts_->perform(act, "os:tester");
    EXPECT_TRUE(receipt) << receipt.error().message;
    return receipt ? Json::parse(*receipt) : Json();
  }
  std::string refused(const LogAct& act) {
    const auto receipt = acts_->perform(act, "os:tester");
    EXPECT_FALSE(receipt);
    return receipt ? "" : receipt.error().reason;
  }
  std::string last_line() {
    auto reader = LogReader::open(folder("log")).value();
    return reader.read(reader.last().value(), 1)->front().line;
  }
  LogReport verified(std::uint64_t trimmed) {
    auto source = open_log_source(folder("log").string()).value();
    return verify_log(*source, {.trimmed_max = trimmed}).value();
  }

  const ScratchFolder scratch_;
  FakeClock clock_;
  std::unique_ptr<PersonalVault> vault_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<LogActs> acts_;
};

TEST_F(Acts, AnErasureTellsWhatWasDerivedAndRecordsItselfAlsoWhenRepeated) {
  request("user-1");
  const LogAct erase{
      .kind = ActKind::erase, .organization = "7", .person = "user-1", .ticket = "GDPR-1"};
  EXPECT_EQ(perform(erase).at("keys_destroyed"), "1");
  const Json event = Json::parse(last_line());
  EXPECT_EQ(event.at("unmapped").at("operation"), "log.erased");
  EXPECT_EQ(event.at("unmapped").at("details").at("ticket"), "GDPR-1");
  EXPECT_EQ(last_line().find("user-1"), std::string::npos);
  EXPECT_EQ(perform(erase).at("keys_destroyed"), "0");
  EXPECT_EQ(vault_->keys().stats().persons, 0u);  // recording it made no new key
}

TEST_F(Acts, AHoldStopsWhatItCoversUntilItsEnd) {
  request("user-1");
  request("user-2");
  const auto until = clock_.now().time_since_epoch().count() + 1000;
  perform({.kind = ActKind::hold_add,
           .organization = "7",
           .person = "user-1",
           .ticket = "COURT-1",
           .until_ms = until});
  EXPECT_EQ(read_file(folder("keys") / "holds.json")->find("user-1"), std::string::npos);
  const auto erase = [](const char* person) {
    return LogAct{.kind = ActKind::erase, .organization = "7", .person = person, .ticket = "G"};
  };
  EXPECT_EQ(refused(erase("user-1")), "legal_hold");
  EXPECT_EQ(refused(erase("")), "legal_hold");
  EXPECT_EQ(refused({.kind = ActKind::trim, .ticket = "OPS"}), "legal_hold");
  EXPECT_NE(last_line().find("\"legal_hold\""), std::string::npos);  // the attempt is evidence
  EXPECT_EQ(perform(erase("user-2")).at("keys_destroyed"), "1");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(perform(erase("user-1")).at("keys_destroyed"), "1");
}

TEST_F(Acts, HoldsThatCannotBeReadAreNotNoHolds) {
  request("user-1");
  ASSERT_TRUE(write_file_atomic(folder("keys") / "holds.json", "[{\"id\":", 0600));
  EXPECT_FALSE(acts_->perform(
      {.kind = ActKind::erase, .organization = "7", .person = "user-1", .ticket = "G"}, "os:t"));
  EXPECT_EQ(vault_->keys().stats().persons, 1u);
}

TEST_F(Acts, RetentionFreesTheFrontAndTheTreeStillVerifies) {
  for (int i = 0; i < 600; ++i) request("user-1");
  clock_.advance(std::chrono::days(31));
  for (int i = 0; i < 300; ++i) request("user-2");
  restart();
  ASSERT_TRUE(verified(0).problems.empty());
  const Json receipt = perform({.kind = ActKind::trim, .ticket = "OPS-1"});
  EXPECT_EQ(receipt.at("first_kept"), "513");  // two bundles of 256; the third holds younger ones
  EXPECT_EQ(receipt.at("removed"), "512");
  for (const char* gone :
       {"tile/entries/000", "tile/entries/001", "personal/000", "personal/001"}) {
    EXPECT_FALSE(std::filesystem::exists(folder("log") / gone)) << gone;
  }
  EXPECT_TRUE(std::filesystem::exists(folder("log") / "tile/entries/002"));
  EXPECT_TRUE(std::filesystem::exists(folder("log") / "tile/0/000"));
  const Json policy = Json::parse(read_file(folder("log") / kRetentionFile).value());
  EXPECT_EQ(policy.at("first_kept"), 513);
  EXPECT_NE(last_line().find("log.trimmed"), std::string::npos);
  restart();
  EXPECT_TRUE(verified(0).problems.empty()) << verified(0).problems.front();  // the log says so
  EXPECT_EQ(verified(0).trimmed, 512u);
  auto reader = LogReader::open(folder("log")).value();
  EXPECT_EQ(reader.first().value(), 513u);
  EXPECT_EQ(reader.read(1, 1).error().reason, "audit_trimmed");
  EXPECT_EQ(perform({.kind = ActKind::trim, .ticket = "OPS-2"}).at("removed"), "0");
  std::filesystem::remove(folder("log") / "tile/entries/002");
  EXPECT_FALSE(verified(0).problems.empty());  // more is missing than policy removed
}

TEST_F(Acts, SigningKeysRotateAndBothChecksAreMade) {
  request("user-1");
  const Json receipt = perform({.kind = ActKind::rotate_log, .ticket = "OPS-3"});
  EXPECT_TRUE(receipt.at("verifier_key").get<std::string>().starts_with("domicile/ca-central-1+"));
  restart();
  EXPECT_EQ(verified(0).log_keys.size(), 2u);
  perform({.kind = ActKind::retire_log, .ticket = "OPS-4"});
  restart();
  EXPECT_EQ(verified(0).log_keys.size(), 1u);
}

TEST_F(Acts, TheSpoolDoesWhatWaitsAndAnswersAndRefusesWhatIsNoAct) {
  request("user-1");
  const auto perform_act = [&](const LogAct& act, std::string_view by) {
    return acts_->perform(act, by);
  };
  const LogAct erase{
      .kind = ActKind::erase, .organization = "7", .person = "user-1", .ticket = "GDPR-1"};
  const auto log = folder("log");
  const std::string id = leave_act(log, erase).value();
  ASSERT_TRUE(write_file_atomic(log / "spool" / "1-strange.act", "{\"act\":\"erase\"}", 0600));
  std::filesystem::create_directory(log / "spool" / "2-folder.act");
  EXPECT_EQ(await_answer(log, id, std::chrono::milliseconds(1)).error().code, Code::timeout);
  {
    std::string receipt;
    std::jthread waiting(
        [&] { receipt = await_answer(log, id, std::chrono::seconds(60)).value_or("refused"); });
    ASSERT_TRUE(take_acts(log, perform_act));
    waiting.join();
    EXPECT_EQ(Json::parse(receipt).at("keys_destroyed"), "1") << receipt;
  }
  const auto strange = await_answer(log, "1-strange", std::chrono::seconds(1));
  EXPECT_EQ(strange.error().code, Code::invalid);
  EXPECT_EQ(take_acts(log, perform_act).value(), 0u);
}

TEST(LogAct, AnActComesThroughItsTextAndWhatLacksSomethingDoesNot) {
  const LogAct act{.kind = ActKind::hold_add,
                   .organization = "7",
                   .person = "a \"person\"",
                   .ticket = "T-1",
                   .until_ms = 5,
                   .facts = {{"a", "b"}}};
  const LogAct again = parse_act(encode_act(act)).value();
  EXPECT_EQ(encode_act(again), encode_act(act));
  EXPECT_EQ(again.person, act.person);
  for (const char* text :
       {"", "[]", R"({"act":"erase","organization":"7"})", R"({"act":"erase","ticket":"T"})",
        R"({"act":"hold_remove","ticket":"T"})", R"({"act":"trim"})", R"({"act":"format"})",
        R"({"act":"erase","organization":"7","person":1,"ticket":"T"})",
        R"({"act":"erase","organization":"a b","ticket":"T"})",
        R"({"act":"hold_add","person":"p","ticket":"T"})"}) {
    EXPECT_FALSE(parse_act(text)) << text;
  }
}

}  // namespace
}  // namespace domicile::audit
