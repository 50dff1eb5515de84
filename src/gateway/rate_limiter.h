// So many requests a second for each key, with a burst, over all loops of a door together: the
// generic cell rate algorithm (ITU-T I.371), which needs one number a key, the time at which it
// would have used up what it had. A key whose time has passed is as good as one never seen, so the
// table forgets it without a sweep.
//
// A fixed table of atomics: no lock, no allocation, one compare-and-swap a request. Keys are hashes
// that the caller makes with a secret seed. When a bucket holds more live keys than it has room for,
// the one that used least is forgotten: a flood of keys makes the limit lenient, never the memory
// grow nor a stranger pay.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "base/clock.h"

namespace domicile::gateway {

struct Rate {
  unsigned per_second = 0;  // 0: no limit
  unsigned burst = 0;       // at once; 0: as many as a second gives
};

class RateLimiter {
 public:
  explicit RateLimiter(Rate rate, std::size_t keys = 65536);

  struct Verdict {
    bool allowed = true;
    std::chrono::nanoseconds wait{0};  // not allowed: until one more would be
    // Refusals of this key to be recorded now, this one among them: the first, and then what came
    // together over a second. 0: a later one speaks for this.
    std::uint32_t to_record = 0;
  };
  Verdict take(std::uint64_t key, SteadyTime now);

 private:
  static constexpr std::size_t kWays = 4;
  struct Slot {
    std::atomic<std::uint64_t> key{0};
    std::atomic<std::int64_t> used_until_ns{0};
    std::atomic<std::int64_t> recorded_ns{0};
    std::atomic<std::uint32_t> refused{0};
  };
  Slot& slot_of(std::uint64_t key);

  const std::int64_t each_ns_;
  const std::int64_t burst_ns_;
  const std::uint64_t mask_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace domicile::gateway
