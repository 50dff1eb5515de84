#include "store/lockout.h"

#include <gtest/gtest.h>

namespace domicile::store {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
const LockoutRules kRules;

Lockout failures(int count, std::int64_t now_s = kNow) {
  Lockout out = after_failure(nullptr, kRules, now_s);
  for (; count > 1; --count) out = after_failure(&out, kRules, now_s);
  return out;
}

TEST(Lockout, FiveFailuresLockForAMinute) {
  EXPECT_EQ(failures(4).locked_until, 0);
  EXPECT_EQ(failures(5).locked_until, kNow + 60);
}

TEST(Lockout, LastsTwiceAsLongEachTimeUpToItsMost) {
  Lockout out = failures(5);
  for (const std::int64_t wait : {120, 240, 480, 900, 900}) {
    const std::int64_t now = out.locked_until;
    out = after_failure(&out, kRules, now);  // the one try
    EXPECT_EQ(out.locked_until, now + wait);
  }
}

TEST(Lockout, FailuresUnderALockMakeItNoLonger) {
  const Lockout locked = failures(5);
  const Lockout after = after_failure(&locked, kRules, kNow + 30);
  EXPECT_EQ(after.locked_until, kNow + 60);
  EXPECT_EQ(after.lockouts, 1);
}

TEST(Lockout, QuietGivesTriesBackAndForgetsFormerLocks) {
  const Lockout four = failures(4);
  EXPECT_EQ(after_failure(&four, kRules, kNow + 60).locked_until, 0);  // one came back
  const Lockout locked = failures(5);
  const Lockout later = after_failure(&locked, kRules, kNow + 300);
  EXPECT_EQ(later.lockouts, 0);
  EXPECT_EQ(later.locked_until, 0);
}

TEST(Lockout, SaysNothingOnceTheBucketIsFullAndTheLockIsOver) {
  EXPECT_EQ(failures(1).forget_at, kNow + 60);
  EXPECT_EQ(failures(5).forget_at, kNow + 60 + 240);
  Lockout out = failures(5);
  for (int i = 0; i < 20; ++i) out = after_failure(&out, kRules, out.locked_until);
  EXPECT_GE(out.forget_at, out.locked_until);
}

TEST(Lockout, AClockThatGoesBackGivesNoTries) {
  const Lockout four = failures(4);
  EXPECT_GT(after_failure(&four, kRules, kNow - 1000).locked_until, 0);
}

}  // namespace
}  // namespace domicile::store
