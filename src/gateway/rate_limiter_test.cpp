#include "gateway/rate_limiter.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "gateway/request_limits.h"

namespace domicile::gateway {
namespace {

using std::chrono::milliseconds;

int allowed(RateLimiter& limiter, std::uint64_t key, SteadyTime now, int times) {
  int count = 0;
  for (int i = 0; i < times; ++i) count += limiter.take(key, now).allowed ? 1 : 0;
  return count;
}

TEST(RateLimiter, GivesTheBurstAtOnceAndThenTheRate) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 10, .burst = 5});
  EXPECT_EQ(allowed(limiter, 7, clock.steady(), 100), 5);
  EXPECT_EQ(limiter.take(7, clock.steady()).wait, milliseconds(100));
  clock.advance(milliseconds(99));
  EXPECT_EQ(allowed(limiter, 7, clock.steady(), 100), 0);
  clock.advance(milliseconds(201));
  EXPECT_EQ(allowed(limiter, 7, clock.steady(), 100), 3);
  clock.advance(milliseconds(60'000));
  EXPECT_EQ(allowed(limiter, 7, clock.steady(), 100), 5);  // idle time is not saved up
}

TEST(RateLimiter, GivesWhatASecondGivesWhereNoBurstIsSaid) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 3, .burst = 0});
  EXPECT_EQ(allowed(limiter, 7, clock.steady(), 10), 3);
}

TEST(RateLimiter, LetsNobodyPayForAnother) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 2});
  EXPECT_EQ(allowed(limiter, 100, clock.steady(), 10), 2);
  EXPECT_EQ(allowed(limiter, 200, clock.steady(), 10), 2);
}

TEST(RateLimiter, SaysWhatToRecordOnceASecondAndLosesNoRefusal) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 1});
  std::uint32_t recorded = 0;
  int records = 0;
  for (int i = 0; i < 300; ++i) {  // three seconds, one allowed in each
    const auto verdict = limiter.take(7, clock.steady());
    if (verdict.to_record > 0) ++records;
    recorded += verdict.to_record;
    clock.advance(milliseconds(10));
  }
  EXPECT_GE(records, 3);
  EXPECT_LE(records, 4);
  clock.advance(milliseconds(2000));
  (void)limiter.take(7, clock.steady());
  recorded += limiter.take(7, clock.steady()).to_record;
  EXPECT_EQ(recorded, 298u);  // 300 + 2, less the 4 that were allowed
}

TEST(RateLimiter, ForgetsWhoUsedLeastWhenThereIsNoRoom) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 1}, 4);  // one bucket
  for (std::uint64_t key = 1; key <= 1000; ++key) {
    EXPECT_TRUE(limiter.take(key << 20, clock.steady()).allowed);
  }
}

TEST(RateLimiter, CountsExactlyWhenManyLoopsAsk) {
  FakeClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 1000});
  (void)limiter.take(7, clock.steady());  // its slot is there
  std::atomic<int> count = 1;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { count += allowed(limiter, 7, clock.steady(), 1000); });
    }
  }
  EXPECT_EQ(count, 1000);
}

TEST(RequestLimits, CountsAnIpv6AddressAsItsNetwork) {
  FakeClock clock;
  RequestLimits limits(
      {.address = {.per_second = 1, .burst = 2}, .client = {}, .organization = {}});
  EXPECT_TRUE(limits.has(Limit::address));
  EXPECT_FALSE(limits.has(Limit::client));
  EXPECT_TRUE(limits.take_address("2001:db8::1", clock.steady()).allowed);
  EXPECT_TRUE(limits.take_address("2001:db8::2", clock.steady()).allowed);
  EXPECT_FALSE(limits.take_address("2001:db8::3", clock.steady()).allowed);
  EXPECT_TRUE(limits.take_address("2001:db8:0:1::3", clock.steady()).allowed);
  EXPECT_TRUE(limits.take_address("127.0.0.1", clock.steady()).allowed);
}

}  // namespace
}  // namespace domicile::gateway
