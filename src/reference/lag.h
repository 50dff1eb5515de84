// How far behind a region is: the last 600 heartbeats, from their commit in the master region to their commit here, and
// the estimate of how far apart the two clocks are. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

namespace domicile::reference {

class Lag {
 public:
  void add(std::int64_t lag_us) {
    samples_.push_back(std::max<std::int64_t>(lag_us, 0));
    if (samples_.size() > kSamples) samples_.pop_front();
  }
  bool empty() const { return samples_.empty(); }
  std::int64_t last_us() const { return samples_.back(); }
  // The smallest value that so many per cent of the samples do not pass.
  std::int64_t percentile_us(unsigned percent) const {
    std::vector<std::int64_t> sorted(samples_.begin(), samples_.end());
    const std::size_t at = (sorted.size() * percent + 99) / 100 - 1;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at),
                     sorted.end());
    return sorted[at];
  }

 private:
  static constexpr std::size_t kSamples = 600;
  std::deque<std::int64_t> samples_;
};

// Takes the estimate of the call that spent the least time on its way, among the last few: a clock that jumps is
// followed within that many calls.
class ClockOffset {
 public:
  void add(std::int64_t offset_us, std::int64_t uncertainty_us) {
    seen_.push_back({uncertainty_us, offset_us});
    if (seen_.size() > kCalls) seen_.pop_front();
  }
  std::int64_t offset_us() const {
    return seen_.empty() ? 0 : std::min_element(seen_.begin(), seen_.end())->offset;
  }

 private:
  static constexpr std::size_t kCalls = 8;
  struct Seen {
    std::int64_t uncertainty = 0;
    std::int64_t offset = 0;
    friend auto operator<=>(const Seen&, const Seen&) = default;
  };
  std::deque<Seen> seen_;
};

}  // namespace domicile::reference
