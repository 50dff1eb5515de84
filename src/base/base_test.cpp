#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/result.h"
#include "base/secret.h"

namespace domicile {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::invalid, "odd", "odd_number");
  return n / 2;
}

Result<int> quarter(int n) {
  const int once = TRY(half(n));
  return half(once);
}

TEST(Result, TryPassesTheFirstErrorOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  ASSERT_FALSE(quarter(6));
  EXPECT_EQ(quarter(6).error().reason, "odd_number");
  EXPECT_EQ(quarter(6).error().within("a.toml").message, "a.toml: odd");
}

TEST(Encoding, RoundTripsEveryByteInEveryForm) {
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all.push_back(static_cast<char>(i));
    EXPECT_EQ(from_hex(to_hex(all)), all);
    EXPECT_EQ(from_base64(to_base64(all)), all);
    EXPECT_EQ(from_base64url(to_base64url(all)), all);
  }
}

TEST(Encoding, RefusesNonCanonicalText) {
  EXPECT_FALSE(from_base64url("QQ=="));
  EXPECT_FALSE(from_base64url("QR"));  // last character carries bits that no byte holds
  EXPECT_FALSE(from_base64url("Q"));
  EXPECT_FALSE(from_base64url("Q Q"));
  EXPECT_FALSE(from_base64("QQ"));
  EXPECT_FALSE(from_hex("ABC"));
  EXPECT_FALSE(from_hex("AB"));  // upper case is not canonical here
}

TEST(Secret, ComparesWholeValues) {
  EXPECT_TRUE(equal_constant_time("same", "same"));
  EXPECT_FALSE(equal_constant_time("same", "sama"));
  EXPECT_FALSE(equal_constant_time("same", "same "));
}

TEST(File, AtomicWriteReplacesAndKeepsTheMode) {
  const auto dir = std::filesystem::temp_directory_path() / "domicile_base_test";
  std::filesystem::create_directories(dir);
  const auto path = dir / "value";
  ASSERT_TRUE(write_file_atomic(path, "one", 0600));
  ASSERT_TRUE(write_file_atomic(path, "two\n", 0600));
  EXPECT_EQ(read_file(path).value(), "two\n");
  EXPECT_EQ(read_secret_file(path).value().reveal(), "two");
  ::chmod(path.c_str(), 0644);
  ASSERT_FALSE(read_secret_file(path));
  EXPECT_NE(read_secret_file(path).error().message.find("chmod 600"), std::string::npos);
  EXPECT_EQ(read_file(dir / "absent").error().code, Code::not_found);
  EXPECT_EQ(read_file(path, 2).error().code, Code::invalid);
  std::filesystem::remove_all(dir);
}

TEST(Clock, FakeMovesOnlyWhenTold) {
  FakeClock clock;
  const auto before = clock.now();
  EXPECT_EQ(clock.now(), before);
  clock.advance(std::chrono::seconds(2));
  EXPECT_EQ(clock.now() - before, std::chrono::seconds(2));
}

}  // namespace
}  // namespace domicile
