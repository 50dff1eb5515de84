#include "store/lockout.h"

#include <algorithm>
#include <cmath>

namespace domicile::store {

Lockout after_failure(const Lockout* before, const LockoutRules& rules, std::int64_t now_s) {
  Lockout next{.tries = rules.burst, .seen_at = now_s};
  if (before != nullptr) {
    if (now_s < before->locked_until) return *before;
    const auto quiet = static_cast<double>(std::max<std::int64_t>(now_s - before->seen_at, 0));
    next.tries = std::min(rules.burst, before->tries + quiet / static_cast<double>(rules.refill_s));
    if (next.tries < rules.burst) next.lockouts = before->lockouts;
  }
  next.tries = std::max(0.0, next.tries - 1);
  if (next.tries < 1) {  // then one try is given, and the time under the lock gives none
    const std::int64_t times = std::int64_t{1} << std::min<std::int64_t>(next.lockouts, 20);
    next.locked_until = now_s + std::min(rules.lockout_max_s, rules.lockout_s * times);
    next.seen_at = next.locked_until;
    next.tries = 1;
    ++next.lockouts;
  }
  const auto full = static_cast<std::int64_t>(
      std::ceil((rules.burst - next.tries) * static_cast<double>(rules.refill_s)));
  next.forget_at = next.seen_at + full;
  return next;
}

}  // namespace domicile::store
