#include "audit/personal_vault.h"

#include <fstream>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "audit/event_line.h"
#include "audit/event_samples.h"
#include "audit/personal_text.h"
#include "audit/scratch_folder.h"
#include "base/file.h"
#include "crypto/sha256.h"

namespace domicile::audit {
namespace {

using domain::Event;
using domain::EventKind;
using Json = nlohmann::json;

class Vault : public ::testing::Test {
 protected:
  struct Entry {
    std::string line;
    std::string sealed;
  };

  void SetUp() override { open(); }

  VaultOptions options() const {
    return {.key_directory = scratch_.path() / "keys",
            .master_file = scratch_.path() / "master.key",
            .clock = &clock_};
  }
  void open() {
    vault_.reset();
    auto opened = PersonalVault::open(options());
    ASSERT_TRUE(opened) << opened.error().message;
    vault_ = std::move(*opened);
  }
  Entry store(Event event, std::uint64_t sequence = 41) {
    event.region = domain::RegionId("ca-central-1");
    auto records = to_ocsf(std::move(event), vault_.get());
    EXPECT_TRUE(records) << records.error().message;
    EXPECT_TRUE(vault_->flush());
    Entry entry{.sealed = std::exchange(records->front().sealed, {})};
    append_line(entry.line, records->front(), sequence, 40);
    entry.line.pop_back();
    return entry;
  }
  static Event request(const char* organization, const char* actor, const char* ip) {
    Event event;
    event.outcome = domain::Outcome::allowed;
    event.organization = domain::OrgKey(organization);
    event.actor = domain::UserId(actor);
    event.source_ip = ip;
    event.operation = "courses.list";
    return event;
  }
  Json opened(const Entry& entry) {
    const auto out = vault_->open_event(entry.line, entry.sealed);
    EXPECT_TRUE(out) << out.error().message;
    return Json::parse(out->line);
  }
  std::string actor_of(const Entry& entry) {
    return opened(entry).at("actor").at("user").at("uid").get<std::string>();
  }
  std::string everything_on_disk() const {
    std::string all;
    for (const auto& at : std::filesystem::recursive_directory_iterator(scratch_.path())) {
      if (at.is_regular_file()) all += read_file(at.path()).value();
    }
    return all;
  }

  const ScratchFolder scratch_;
  FakeClock clock_;
  std::unique_ptr<PersonalVault> vault_;
};

TEST_F(Vault, TheEntryHoldsCommitmentsAndTheSealedTextHoldsTheValues) {
  const Entry entry = store(request("7", "user-4711", "203.0.113.9"));
  for (const char* personal : {"user-4711", "203.0.113.9"}) {
    EXPECT_EQ(entry.line.find(personal), entry.line.npos);
    EXPECT_EQ(entry.sealed.find(personal), entry.sealed.npos);
    EXPECT_EQ(everything_on_disk().find(personal), std::string::npos);
  }
  const Json stored = Json::parse(entry.line);
  EXPECT_TRUE(is_commitment(stored.at("actor").at("user").at("uid").get<std::string>()));
  EXPECT_TRUE(is_commitment(stored.at("src_endpoint").at("uid").get<std::string>()));
  EXPECT_TRUE(parse_line(entry.line));
  const Json open = opened(entry);
  EXPECT_EQ(open.at("actor").at("user").at("uid"), "user-4711");
  EXPECT_EQ(open.at("src_endpoint").at("ip"), "203.0.113.9");
  EXPECT_FALSE(open.at("src_endpoint").contains("uid"));
}

TEST_F(Vault, EveryKindOfEventOpensToWhatItWas) {
  for (const Event& event : event_samples()) {
    if (event.kind == EventKind::cross_region || event.reason == "wrong_region") continue;
    const Entry entry = store(event);
    EXPECT_EQ(entry.line.find("user-4711"), entry.line.npos) << entry.line;
    EXPECT_EQ(entry.line.find("user-12\""), entry.line.npos) << entry.line;
    std::string plain;
    append_line(plain, to_ocsf(event).front(), 41, 40);
    Json want = Json::parse(plain), have = opened(entry);
    for (Json* json : {&want, &have}) (*json)["unmapped"].erase("xxh3");
    have["unmapped"].erase("personal");
    EXPECT_EQ(have, want);
  }
}

TEST_F(Vault, ACommitmentIsTheHashOfSaltAndValueAndNeverTheSameTwice) {
  const PersonalValue value{
      .salt = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'},
      .name = "actor",
      .value = "user-4711"};
  EXPECT_EQ(commitment_of(value), "sha256:" + crypto::sha256_hex("0123456789abcdefuser-4711"));
  const Entry once = store(request("7", "user-4711", "203.0.113.9"));
  const Entry again = store(request("7", "user-4711", "203.0.113.9"));
  const auto ip = [](const Entry& entry) {
    return Json::parse(entry.line).at("src_endpoint").at("uid").get<std::string>();
  };
  EXPECT_NE(ip(once), ip(again));
  // Whoever knows all addresses cannot find this one: the salt is missing.
  for (int i = 0; i < 65'536; ++i) {
    const std::string guess = "203.0." + std::to_string(i >> 8) + '.' + std::to_string(i & 255);
    ASSERT_NE(ip(once), "sha256:" + crypto::sha256_hex(guess));
  }
}

TEST_F(Vault, ASealedTextOfAnotherEntryIsFoundAlsoWithoutAnyKey) {
  const Entry mine = store(request("7", "user-1", "203.0.113.9"));
  const Entry other = store(request("7", "user-1", "203.0.113.9"));
  EXPECT_EQ(sealed_hash_in(mine.line), sealed_hash(mine.sealed));
  EXPECT_NE(sealed_hash_in(mine.line), sealed_hash(other.sealed));
  const auto swapped = vault_->open_event(mine.line, other.sealed);
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().reason, "sealed_text_changed");
  for (std::size_t at = 0; at < mine.sealed.size(); ++at) {
    std::string changed = mine.sealed;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    if (changed == mine.sealed) continue;
    EXPECT_FALSE(vault_->open_event(mine.line, changed)) << at;
  }
}

TEST_F(Vault, AnErasedPersonIsGoneAndNobodyElse) {
  const Entry gone = store(request("7", "user-1", "203.0.113.1"));
  const Entry kept = store(request("7", "user-2", "203.0.113.2"));
  const Entry elsewhere = store(request("8", "user-1", "203.0.113.3"));
  EXPECT_EQ(vault_->keys().erase_person("7", "user-1").value(), 1u);
  EXPECT_EQ(vault_->keys().erase_person("7", "user-1").value(), 0u);
  for (int round = 0; round < 2; ++round) {
    const auto out = vault_->open_event(gone.line, gone.sealed);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->withheld, 1u);
    EXPECT_EQ(out->line, gone.line);  // the entry stays, byte for byte
    EXPECT_EQ(actor_of(kept), "user-2");
    EXPECT_EQ(actor_of(elsewhere), "user-1");
    open();
  }
  const Entry later = store(request("7", "user-1", "203.0.113.1"));  // a new key, a new life
  EXPECT_EQ(actor_of(later), "user-1");
  EXPECT_EQ(vault_->open_event(gone.line, gone.sealed)->withheld, 1u);
}

TEST_F(Vault, AnErasedOrganizationTakesItsPersonsAlong) {
  const Entry gone = store(request("7", "user-1", "203.0.113.1"));
  const Entry nobody = store(request("7", "", "203.0.113.1"));
  const Entry kept = store(request("8", "user-1", "203.0.113.1"));
  EXPECT_EQ(vault_->keys().erase_organization("7").value(), 2u);
  open();
  EXPECT_EQ(vault_->open_event(gone.line, gone.sealed)->withheld, 1u);
  EXPECT_EQ(vault_->open_event(nobody.line, nobody.sealed)->withheld, 1u);
  EXPECT_EQ(actor_of(kept), "user-1");
  EXPECT_EQ(vault_->keys().stats().persons, 1u);
  EXPECT_EQ(actor_of(store(request("7", "user-1", "203.0.113.1"))), "user-1");
}

TEST_F(Vault, AGrantKeepsTwoPersonsApart) {
  Event event = request("7", "admin-1", "203.0.113.1");
  event.kind = EventKind::grant_changed;
  event.acting_organization = domain::OrgKey("8");
  event.details = {{"subject", "user-12"}, {"subject", "user-13"}};
  const Entry entry = store(event);
  EXPECT_EQ(opened(entry).at("user").at("uid"), "user-12");
  EXPECT_EQ(entry.line.find("user-13"), entry.line.npos);
  EXPECT_EQ(vault_->keys().erase_person("8", "admin-1").value(), 1u);
  EXPECT_EQ(opened(entry).at("user").at("uid"), "user-12");
  EXPECT_TRUE(is_commitment(actor_of(entry)));
}

TEST_F(Vault, AnAccountThatWasActedOnIsAPerson) {
  Event event = request("7", "admin-1", "203.0.113.1");
  event.kind = EventKind::grant_changed;
  event.resource = "user:u_4711";
  const Entry entry = store(event);
  EXPECT_EQ(entry.line.find("u_4711"), entry.line.npos);
  EXPECT_EQ(opened(entry).at("resources").at(0).at("name"), "user:u_4711");
  EXPECT_EQ(vault_->keys().erase_person("7", "u_4711").value(), 1u);
  EXPECT_TRUE(is_commitment(opened(entry).at("resources").at(0).at("name").get<std::string>()));
}

TEST_F(Vault, AfterRotationsOldEntriesOpenAndOldKeysOpenNothing) {
  const Entry entry = store(request("7", "user-1", "203.0.113.1"));
  const auto keys = scratch_.path() / "keys" / "personal";
  const auto old_keys = read_file(keys).value();
  const auto old_master = read_file(scratch_.path() / "master.key").value();
  ASSERT_TRUE(vault_->keys().rotate_organization("7"));
  EXPECT_EQ(actor_of(entry), "user-1");
  ASSERT_TRUE(vault_->keys().rotate_master());
  EXPECT_EQ(actor_of(entry), "user-1");
  EXPECT_NE(read_file(scratch_.path() / "master.key").value(), old_master);
  const Entry later = store(request("7", "user-2", "203.0.113.1"));
  open();
  EXPECT_EQ(actor_of(entry), "user-1");
  EXPECT_EQ(actor_of(later), "user-2");
  // A copy of the old file of keys, and today's master key.
  vault_.reset();
  ASSERT_TRUE(write_file_atomic(keys, old_keys, 0600));
  EXPECT_FALSE(PersonalVault::open(options()));
}

TEST_F(Vault, AMasterRotationThatWasCutShortIsFinishedOrUndone) {
  const Entry entry = store(request("7", "user-1", "203.0.113.1"));
  const auto master = scratch_.path() / "master.key";
  const auto beside = scratch_.path() / "master.key.next";
  const std::string old_key = read_file(master).value();
  // The new key is written, the file of keys is still the old one.
  ASSERT_TRUE(write_file_atomic(beside, std::string(64, '5') + "\n", 0600));
  open();
  EXPECT_EQ(actor_of(entry), "user-1");
  EXPECT_FALSE(std::filesystem::exists(beside));
  // The file of keys is the new one, the key has not its name yet.
  ASSERT_TRUE(vault_->keys().rotate_master());
  ASSERT_TRUE(write_file_atomic(beside, read_file(master).value(), 0600));
  ASSERT_TRUE(write_file_atomic(master, old_key, 0600));
  open();
  EXPECT_EQ(actor_of(entry), "user-1");
  EXPECT_FALSE(std::filesystem::exists(beside));
  EXPECT_NE(read_file(master).value(), old_key);
}

TEST_F(Vault, WithoutItsMasterKeyNothingStartsAndTheRemedyIsNamed) {
  store(request("7", "user-1", "203.0.113.1"));
  vault_.reset();
  std::filesystem::remove(scratch_.path() / "master.key");
  const auto refused = PersonalVault::open(options());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("put the master key back"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "master.key"));
}

TEST_F(Vault, TwoWritersAreOneTooMany) {
  const auto second = PersonalVault::open(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "audit_folder_in_use");
  ASSERT_TRUE(vault_->keys().rotate_master());
  EXPECT_FALSE(PersonalVault::open(options()));  // the new file has its lock too
}

TEST_F(Vault, TheFilesOfKeysAreForTheirOwnerAlone) {
  store(request("7", "user-1", "203.0.113.1"));
  for (const char* name : {"master.key", "keys", "keys/personal"}) {
    struct stat info{};
    ASSERT_EQ(::stat((scratch_.path() / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << name;
  }
}

TEST_F(Vault, AReaderBesideTheNodeOpensAndFollowsRotations) {
  const Entry entry = store(request("7", "user-1", "203.0.113.1"));
  const auto reader = PersonalVault::open_read_only(options());
  ASSERT_TRUE(reader) << reader.error().message;
  const Entry later = store(request("9", "user-9", "203.0.113.1"));
  for (int round = 0; round < 2; ++round) {
    for (const Entry* each : {&entry, &later}) {
      const auto out = (*reader)->open_event(each->line, each->sealed);
      ASSERT_TRUE(out) << out.error().message;
      EXPECT_EQ(out->withheld, 0u);
    }
    ASSERT_TRUE(vault_->keys().rotate_organization("7"));
  }
  Event event = request("10", "new", "203.0.113.1");
  EXPECT_FALSE((*reader)->hide(event));
}

TEST_F(Vault, ATagTellsOneActorsAttemptsOfADayTogetherAndIsForgotten) {
  const auto tag = [&](const char* actor) { return vault_->actor_tag(actor).value(); };
  const std::string first = tag("user-1");
  EXPECT_EQ(tag("user-1"), first);
  EXPECT_NE(tag("user-2"), first);
  ASSERT_TRUE(vault_->flush());
  open();
  EXPECT_EQ(tag("user-1"), first);  // also after a restart
  clock_.advance(std::chrono::hours(24));
  ASSERT_TRUE(vault_->housekeep());
  EXPECT_NE(tag("user-1"), first);
  clock_.advance(std::chrono::hours(-24));
  EXPECT_EQ(tag("user-1"), first);  // yesterday's key is there still
  clock_.advance(std::chrono::hours(48));
  ASSERT_TRUE(vault_->housekeep());
  clock_.advance(std::chrono::hours(-48));
  EXPECT_NE(tag("user-1"), first);  // destroyed
}

TEST_F(Vault, ACrossRegionEventHoldsNobodyButItsTag) {
  Event event = request("7", "user-1", "203.0.113.9");
  event.kind = EventKind::cross_region;
  event.attempted_by = "8/user-1";
  event.outcome = domain::Outcome::denied;
  const Entry entry = store(event);
  EXPECT_TRUE(entry.sealed.empty());
  EXPECT_EQ(entry.line.find("user-1"), entry.line.npos);
  EXPECT_EQ(entry.line.find("203.0"), entry.line.npos);
  const Json json = Json::parse(entry.line);
  EXPECT_EQ(json.at("unmapped").at("details").at("actor_tag").get<std::string>().size(), 16u);
}

TEST_F(Vault, ManyThreadsGetOneKeyAPerson) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        Event event = request("7", ("user-" + std::to_string(i % 50)).c_str(), "203.0.113.1");
        EXPECT_TRUE(vault_->hide(event));
        if (i % 20 == 0) EXPECT_TRUE(vault_->flush());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(vault_->flush());
  EXPECT_EQ(vault_->keys().stats().persons, 50u);
  open();
  EXPECT_EQ(vault_->keys().stats().persons, 50u);
}

TEST_F(Vault, ADamagedKeyClosesWhatItSealedAndNothingElse) {
  const Entry gone = store(request("7", "user-1", "203.0.113.1"));
  const Entry kept = store(request("7", "user-2", "203.0.113.1"));
  const auto slot = decode_sealed(gone.sealed)->front().slot;
  vault_.reset();
  {
    std::fstream file(scratch_.path() / "keys" / "personal",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(slot * kKeySlotBytes + 30));
    file.put('x').put('y');
  }
  open();
  EXPECT_EQ(vault_->keys().stats().damaged, 1u);
  EXPECT_EQ(vault_->open_event(gone.line, gone.sealed)->withheld, 1u);
  EXPECT_EQ(actor_of(kept), "user-2");
  EXPECT_EQ(actor_of(store(request("7", "user-1", "203.0.113.1"))), "user-1");
}

}  // namespace
}  // namespace domicile::audit
