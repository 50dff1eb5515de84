#include "base/clock.h"

namespace domicile {
namespace {
constexpr std::chrono::sys_days kFakeStart = std::chrono::year{2026} / 1 / 1;
}

WallTime SystemClock::now() const {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

SteadyTime SystemClock::steady() const { return std::chrono::steady_clock::now(); }

WallTime FakeClock::now() const {
  return kFakeStart + std::chrono::milliseconds(passed_ms_.load());
}

SteadyTime FakeClock::steady() const {
  return SteadyTime(std::chrono::milliseconds(passed_ms_.load()));
}

}  // namespace domicile
