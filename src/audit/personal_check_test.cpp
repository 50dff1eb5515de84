#include "audit/personal_check.h"

#include <gtest/gtest.h>

#include "audit/event_line.h"
#include "audit/log_fixture.h"
#include "audit/log_tree.h"
#include "audit/log_verifier.h"

namespace domicile::audit {
namespace {

class PersonalCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    vault_ = PersonalVault::open({.key_directory = keys_.folder / "keys",
                                  .master_file = keys_.folder / "master",
                                  .clock = &clock_})
                 .value();
    log_.grow_to(300, [this](std::uint64_t i) { return entry(i); });
    ASSERT_TRUE(vault_->flush());
    log_.publish();
    write_personal();
  }

  std::string entry(std::uint64_t i) {
    domain::Event event;
    event.region = domain::RegionId("ca-central-1");
    event.organization = domain::OrgKey("7");
    event.actor = domain::UserId("user-" + std::to_string(i));
    event.operation = "courses.list";
    auto record = to_ocsf(std::move(event), vault_.get()).value().front();
    sealed_.push_back(std::exchange(record.sealed, {}));
    std::string line;
    append_line(line, record, i + 1, i + 1);
    line.pop_back();
    return line;
  }
  void write_personal() {
    std::string parts;
    for (std::size_t i = 0; i < 256; ++i) tlog::append_entry(parts, sealed_[i]);
    log_.write(personal_path(0), parts);
  }
  LogReport verify(bool with_keys = true) {
    auto source = open_log_source(log_.folder.string()).value();
    return verify_log(*source, {.policy = log_.policy,
                                .trimmed_max = 256,
                                .personal = with_keys ? vault_.get() : nullptr})
        .value();
  }

  FakeClock clock_;
  LogFixture keys_, log_;
  std::unique_ptr<PersonalVault> vault_;
  std::vector<std::string> sealed_;
};

TEST_F(PersonalCheckTest, WhatIsSealedIsWhatTheEntryCommitsTo) {
  const auto report = verify();
  EXPECT_TRUE(report.problems.empty()) << report.problems.front();
  EXPECT_EQ(report.personal.sealed, 256u);
  EXPECT_EQ(report.personal.opened, 256u);
  EXPECT_EQ(report.personal.withheld, 0u);
  EXPECT_EQ(verify(false).personal.opened, 0u);
}

TEST_F(PersonalCheckTest, FieldsOfAnotherEntryAndDamageAreFound) {
  std::swap(sealed_[3], sealed_[4]);
  write_personal();
  ASSERT_EQ(verify().problems.size(), 2u);
  EXPECT_NE(verify().problems[0].find("personal/000: the sealed fields of entry 3"),
            std::string::npos);
  EXPECT_TRUE(verify(false).problems.empty());  // who has no keys sees the form alone
  log_.write(personal_path(0), "short");
  EXPECT_NE(verify(false).problems.at(0).find("personal/000"), std::string::npos);
  write_personal();
  log_.write("personal/notes.txt", "");
  EXPECT_NE(verify(false).problems.at(0).find("personal/notes.txt"), std::string::npos);
}

TEST_F(PersonalCheckTest, FieldsThatOutliveTheirEntriesAreAProblem) {
  std::filesystem::remove(log_.folder / tlog::bundle_path(0));
  ASSERT_EQ(verify().problems.size(), 1u);
  EXPECT_NE(verify().problems[0].find("outlive"), std::string::npos);
}

}  // namespace
}  // namespace domicile::audit
