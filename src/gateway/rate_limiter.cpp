#include "gateway/rate_limiter.h"

#include <algorithm>
#include <bit>

namespace domicile::gateway {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace

RateLimiter::RateLimiter(Rate rate, std::size_t keys)
    : each_ns_(kSecondNs / std::max(1u, rate.per_second)),
      burst_ns_(each_ns_ * ((rate.burst == 0 ? std::max(1u, rate.per_second) : rate.burst) - 1)),
      mask_(std::bit_ceil(std::max(keys, kWays)) / kWays - 1),
      slots_(std::make_unique<Slot[]>((mask_ + 1) * kWays)) {}

// Two loops that meet a new key at once may give it two slots for a moment, or charge one request
// to the wrong key while a slot changes hands. Neither can lock anybody out.
RateLimiter::Slot& RateLimiter::slot_of(std::uint64_t key) {
  Slot* const bucket = &slots_[(key >> 16 & mask_) * kWays];
  Slot* least = bucket;
  for (Slot* slot = bucket; slot != bucket + kWays; ++slot) {
    if (slot->key.load(std::memory_order_relaxed) == key) return *slot;
    if (slot->used_until_ns.load(std::memory_order_relaxed) <
        least->used_until_ns.load(std::memory_order_relaxed)) {
      least = slot;
    }
  }
  least->key.store(key, std::memory_order_relaxed);
  least->used_until_ns.store(0, std::memory_order_relaxed);
  least->recorded_ns.store(0, std::memory_order_relaxed);
  least->refused.store(0, std::memory_order_relaxed);
  return *least;
}

RateLimiter::Verdict RateLimiter::take(std::uint64_t key, SteadyTime now) {
  Slot& slot = slot_of(key | 1);  // 0 is a free slot's
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t until = slot.used_until_ns.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t from = std::max(until, now_ns);
    if (from - now_ns > burst_ns_) break;
    if (slot.used_until_ns.compare_exchange_weak(until, from + each_ns_,
                                                 std::memory_order_relaxed)) {
      return {};
    }
  }
  Verdict verdict{.allowed = false, .wait = std::chrono::nanoseconds(until - now_ns - burst_ns_)};
  slot.refused.fetch_add(1, std::memory_order_relaxed);
  std::int64_t recorded = slot.recorded_ns.load(std::memory_order_relaxed);
  if ((recorded == 0 || now_ns - recorded >= kSecondNs) &&
      slot.recorded_ns.compare_exchange_strong(recorded, std::max<std::int64_t>(1, now_ns),
                                               std::memory_order_relaxed)) {
    verdict.to_record = slot.refused.exchange(0, std::memory_order_relaxed);
  }
  return verdict;
}

}  // namespace domicile::gateway
