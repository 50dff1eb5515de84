#include "audit/log_keys.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "tlog/checkpoint.h"

namespace domicile::audit {
namespace {

class LogKeysTest : public testing::Test {
 protected:
  LogKeysTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "log-keys-XXXXXX";
    folder_ = std::filesystem::path(::mkdtemp(pattern.data())) / "keys";
  }
  ~LogKeysTest() override { std::filesystem::remove_all(folder_.parent_path()); }
  std::filesystem::path folder_;
};

TEST_F(LogKeysTest, RotationOverlapsAndOldCheckpointsStayEvidence) {
  const auto first = LogKeys::open(folder_, "log.example/ca").value();
  ASSERT_EQ(first.signers().size(), 1u);
  EXPECT_EQ(LogKeys::open(folder_, "log.example/ca")->verifier_text(), first.verifier_text());
  const std::string text =
      tlog::checkpoint_text({.origin = "log.example/ca", .size = 0, .root = {}});
  const std::string note = text + "\n" + first.signers()[0].sign_line(text).value();

  const auto both = LogKeys::rotate(folder_, "log.example/ca").value();
  ASSERT_EQ(both.signers().size(), 2u);
  EXPECT_EQ(both.signers()[1].verifier_key(), first.signers()[0].verifier_key());
  const auto after = LogKeys::retire(folder_, "log.example/ca").value();
  ASSERT_EQ(after.signers().size(), 1u);
  EXPECT_EQ(after.signers()[0].verifier_key(), both.signers()[0].verifier_key());
  EXPECT_EQ(after.verifiers().size(), 2u);
  EXPECT_TRUE(tlog::open_checkpoint(note, after.verifiers()));
  int private_keys = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    private_keys += entry.path().extension() == ".pem" ? 1 : 0;
  }
  EXPECT_EQ(private_keys, 1);
}

TEST_F(LogKeysTest, RefusesKeysThatOthersReadOrThatAreAnotherLogs) {
  const auto keys = LogKeys::open(folder_, "log.example/ca").value();
  EXPECT_EQ(LogKeys::open(folder_, "log.example/us").error().reason, "log_key_mismatch");
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().extension() != ".pem") continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms(0644));
  }
  EXPECT_FALSE(LogKeys::open(folder_, "log.example/ca"));
}

TEST_F(LogKeysTest, AnEmptyListOfCurrentKeysIsNoReasonToMakeANewOne) {
  ASSERT_TRUE(LogKeys::open(folder_, "log.example/ca"));
  ASSERT_TRUE(write_file_atomic(folder_ / "current", "\n"));
  EXPECT_EQ(LogKeys::open(folder_, "log.example/ca").error().code, Code::invalid);
}

}  // namespace
}  // namespace domicile::audit
