// When an account name is locked because of failed sign-ins: a bucket of `burst` tries that refills one
// by one; whoever empties it is locked out, then has one try, and is locked out for twice as long each
// time after, until it was quiet for as long as the bucket takes to fill. Pure arithmetic, so that every store of it agrees. Times are Unix seconds.
#pragma once

#include <cstdint>

namespace domicile::store {

struct LockoutRules {
  double burst = 5;
  std::int64_t refill_s = 60;  // for one try
  std::int64_t lockout_s = 60;
  std::int64_t lockout_max_s = 900;
};

struct Lockout {
  double tries = 0;  // left, at seen_at
  std::int64_t lockouts = 0;
  std::int64_t seen_at = 0;
  std::int64_t locked_until = 0;  // 0: never locked
  std::int64_t forget_at = 0;     // from then on it says nothing any more
};

// `before`: null for a name that has not failed. Failures while it is locked change nothing: what was
// under way when the lock came does not make it longer.
Lockout after_failure(const Lockout* before, const LockoutRules& rules, std::int64_t now_s);

}  // namespace domicile::store
