// Time comes through a Clock, so that tests decide what time it is. Wall time is milliseconds since
// the Unix epoch, UTC; steady time is for deadlines and never goes back. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace domicile {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
  virtual SteadyTime steady() const = 0;
  std::int64_t unix_seconds() const { return now().time_since_epoch().count() / 1000; }
};

class SystemClock final : public Clock {
 public:
  WallTime now() const override;
  SteadyTime steady() const override;
};

// Starts at 2026-01-01T00:00:00Z and moves only by advance().
class FakeClock final : public Clock {
 public:
  WallTime now() const override;
  SteadyTime steady() const override;
  void advance(std::chrono::milliseconds by) { passed_ms_ += by.count(); }

 private:
  std::atomic<std::int64_t> passed_ms_{0};
};

}  // namespace domicile
