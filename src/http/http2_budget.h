// How much of something a client may make us do for nothing: a burst, and a share that comes back
// every second. One subtraction a use.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace domicile::http {

class Http2Budget {
 public:
  Http2Budget(std::uint32_t burst, std::uint32_t per_second, SteadyTime now)
      : burst_(burst), per_second_(per_second), left_(burst), since_(now) {}

  // False: more than it may.
  bool take(SteadyTime now) {
    const std::chrono::duration<double> passed = now - since_;
    since_ = now;
    left_ = std::min(burst_, left_ + passed.count() * per_second_) - 1;
    return left_ >= 0;
  }
  // Earned by doing something of use.
  void give(double count) { left_ = std::min(burst_, left_ + count); }

 private:
  double burst_;
  double per_second_;
  double left_;
  SteadyTime since_;
};

}  // namespace domicile::http
