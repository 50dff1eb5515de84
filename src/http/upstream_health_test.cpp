#include "http/upstream_health.h"

#include <gtest/gtest.h>

namespace domicile::http {
namespace {

using std::chrono::milliseconds;

class UpstreamHealthTest : public testing::Test {
 protected:
  SteadyTime now() const { return clock_.steady(); }
  void fail_times(int times, std::size_t address = 0) {
    for (int i = 0; i < times; ++i) health_.failed(address, now());
  }
  FakeClock clock_;
  UpstreamHealth health_{"app",
                         {runtime::numeric_address("127.0.0.1", 1).value(),
                          runtime::numeric_address("127.0.0.1", 2).value()},
                         {.failures_to_open = 3,
                          .retry_first_ms = milliseconds(100),
                          .retry_max_ms = milliseconds(350)}};
};

TEST_F(UpstreamHealthTest, OpensAfterFailuresInARowAndForThatAddressAlone) {
  fail_times(2);
  health_.succeeded(0);
  fail_times(2);
  EXPECT_TRUE(health_.admit(0, now()));
  fail_times(1);
  EXPECT_FALSE(health_.admit(0, now()));
  EXPECT_TRUE(health_.admit(1, now()));
  EXPECT_EQ(health_.open_count(), 1u);
  EXPECT_EQ(health_.opened_total(), 1u);
  EXPECT_EQ(health_.next_trial(now()).count(), 0);
}

TEST_F(UpstreamHealthTest, LetsOneTrialThroughAfterADelayThatDoublesUpToItsLimit) {
  fail_times(3);
  for (const int delay : {100, 200, 350, 350}) {
    clock_.advance(milliseconds(delay - 1));
    EXPECT_FALSE(health_.admit(0, now())) << delay;
    clock_.advance(milliseconds(1));
    EXPECT_TRUE(health_.admit(0, now())) << delay;
    EXPECT_FALSE(health_.admit(0, now())) << delay;
    fail_times(1);
  }
  EXPECT_EQ(health_.opened_total(), 1u);
}

TEST_F(UpstreamHealthTest, ClosesWithTheFirstConnectionThatComesUp) {
  fail_times(3);
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(health_.admit(0, now()));
  health_.succeeded(0);
  EXPECT_TRUE(health_.admit(0, now()));
  EXPECT_TRUE(health_.admit(0, now()));
  EXPECT_EQ(health_.open_count(), 0u);
}

TEST_F(UpstreamHealthTest, ATrialThatNeverEndsIsFollowedByAnother) {
  fail_times(3);
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(health_.admit(0, now()));
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(health_.admit(0, now()));
}

TEST_F(UpstreamHealthTest, SaysWhenSomeAddressMayBeTried) {
  fail_times(3, 0);
  clock_.advance(milliseconds(40));
  fail_times(3, 1);
  EXPECT_EQ(health_.next_trial(now()), milliseconds(60));
}

}  // namespace
}  // namespace domicile::http
