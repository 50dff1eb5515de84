#include "issuer/throttle.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <arpa/inet.h>

#include "crypto/random.h"
#include "crypto/sha256.h"

namespace domicile::issuer {

Throttle::Throttle(Options options, const Clock& clock)
    : options_(options), clock_(clock), salt_(crypto::random_bytes(16)) {
  entries_.resize(std::bit_ceil(std::max(options_.capacity, kWays)));
}

std::uint64_t Throttle::hash_of(std::string_view subject) const {
  const auto digest = crypto::Sha256().update(salt_).update(subject).finish();
  std::uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash | 1;  // 0 marks a free entry
}

Throttle::Entry& Throttle::find(std::uint64_t hash, SteadyTime now) {
  Entry* const first = &entries_[(hash >> 8 & (entries_.size() / kWays - 1)) * kWays];
  Entry* oldest = first;
  for (Entry* entry = first; entry != first + kWays; ++entry) {
    if (entry->hash == hash) return *entry;
    // A lock is worth more than a memory: the locked go last.
    if (std::max(entry->seen, entry->locked_until) < std::max(oldest->seen, oldest->locked_until))
      oldest = entry;
  }
  *oldest =
      Entry{.hash = hash, .tries = options_.burst, .lockouts = 0, .seen = now, .locked_until = {}};
  return *oldest;
}

void Throttle::refill(Entry& entry, SteadyTime now) const {
  const std::chrono::duration<double> passed = now - entry.seen;
  entry.tries = std::min(options_.burst, entry.tries + passed / options_.refill);
  if (entry.tries >= options_.burst) entry.lockouts = 0;  // quiet for long enough
  entry.seen = now;
}

std::optional<std::chrono::seconds> Throttle::take(std::string_view subject) {
  const std::uint64_t hash = hash_of(subject);
  const SteadyTime now = clock_.steady();
  const std::lock_guard lock(mutex_);
  Entry& entry = find(hash, now);
  if (now < entry.locked_until)
    return std::chrono::ceil<std::chrono::seconds>(entry.locked_until - now);
  refill(entry, now);
  if (entry.tries >= 1) {
    entry.tries -= 1;
    return std::nullopt;
  }
  const auto wait =
      std::min(options_.lockout_max, options_.lockout * (1 << std::min(entry.lockouts, 10)));
  ++entry.lockouts;
  entry.locked_until = now + wait;
  return wait;
}

void Throttle::forgive(std::string_view subject) {
  const std::uint64_t hash = hash_of(subject);
  const SteadyTime now = clock_.steady();
  const std::lock_guard lock(mutex_);
  Entry& entry = find(hash, now);
  entry.tries = options_.burst;
  entry.lockouts = 0;
  entry.seen = now;
  entry.locked_until = {};
}

void Throttle::put_back(std::string_view subject) {
  const std::uint64_t hash = hash_of(subject);
  const SteadyTime now = clock_.steady();
  const std::lock_guard lock(mutex_);
  Entry& entry = find(hash, now);
  entry.tries = std::min(options_.burst, entry.tries + 1);
}

std::string throttle_address(std::string_view ip) {
  const std::string text(ip);
  in6_addr six{};
  if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return text;
  return std::string(reinterpret_cast<const char*>(six.s6_addr), 8);
}

}  // namespace domicile::issuer
