// Tokens that a loop has verified before, so that the next request with the same bytes costs a hash
// and a comparison instead of a signature check. Buckets of eight by XXH3; a hit compares the whole
// token, so a collision is a miss and never a mix-up; an entry dies with its token's `exp` (same
// rule and skew as the verifier's); a full bucket gives up its least recently used entry, nothing
// else.
//
// One thread. Memory is bounded by `capacity` entries of at most `token_bytes_max`; longer tokens
// are not kept. What can change while a token lives (placement epoch, suspension, revocation) is
// not decided here: policy::authorize() sees the Principal on every request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/principal.h"

namespace domicile::token {

class TokenCache {
 public:
  struct Options {
    std::size_t capacity = 16384;  // entries; rounded up to a power of two
    std::size_t token_bytes_max = 8192;
    std::int64_t skew_s = 30;
  };
  struct Stats {
    std::uint64_t hits = 0, misses = 0, evictions = 0;
  };

  explicit TokenCache(Options options);
  TokenCache() : TokenCache(Options{}) {}

  // Null when unknown or expired. Whoever needs the Principal beyond this call copies the pointer.
  const std::shared_ptr<const domain::Principal>* find(std::string_view token, std::int64_t now_s);
  void put(std::string_view token, std::shared_ptr<const domain::Principal> principal,
           std::int64_t now_s);

  // After an issuer's keys changed or the issuer was dropped.
  void forget_issuer(std::string_view issuer);
  void clear();

  std::size_t size() const { return size_; }
  const Stats& stats() const { return stats_; }

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::int64_t expires_at = 0;
    std::uint64_t used = 0;  // tick of the last hit
    std::string token;
    std::shared_ptr<const domain::Principal> principal;  // null: free
  };
  static constexpr std::size_t kWays = 8;
  void drop(Entry& entry);
  Entry* bucket(std::uint64_t hash);

  Options options_;
  std::vector<Entry> entries_;
  std::uint64_t mask_ = 0;
  std::uint64_t tick_ = 0;
  std::size_t size_ = 0;
  Stats stats_;
};

}  // namespace domicile::token
