// How often somebody may try. Each subject (an account, a client's address) has a bucket of `burst`
// tries that refills one by one; whoever empties it is locked out for `lockout`, and for twice as
// long each time after, up to `lockout_max`. A success gives an account its bucket back.
//
// Subjects are remembered as keyed hashes in a table of fixed size: no names in memory, no growth.
// Where it is full the subject quiet for longest is forgotten. Each try is taken before its outcome
// is known, so that parallel guesses do not slip through. What a node remembers is its own and is
// gone with a restart. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace domicile::issuer {

class Throttle {
 public:
  struct Options {
    double burst = 5;
    std::chrono::seconds refill{60};  // for one try
    std::chrono::seconds lockout{60};
    std::chrono::seconds lockout_max{900};
    std::size_t capacity = 65536;
  };
  Throttle(Options options, const Clock& clock);

  // Takes one try. When there is none: how long to wait.
  std::optional<std::chrono::seconds> take(std::string_view subject);
  // The last try was a good one: the bucket is full again, locks are lifted.
  void forgive(std::string_view subject);
  // The last try was a good one, and only that one is given back: for addresses, where an own
  // account's sign-ins must not pay for guesses at others.
  void put_back(std::string_view subject);

 private:
  struct Entry {
    std::uint64_t hash = 0;  // 0: free
    double tries = 0;
    int lockouts = 0;
    SteadyTime seen{};
    SteadyTime locked_until{};
  };
  static constexpr std::size_t kWays = 8;
  std::uint64_t hash_of(std::string_view subject) const;
  Entry& find(std::uint64_t hash, SteadyTime now);
  void refill(Entry& entry, SteadyTime now) const;

  Options options_;
  const Clock& clock_;
  std::string salt_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

// What an address is counted as: IPv4 itself, IPv6 its /64 (one customer's usual share), anything
// else as it is.
std::string throttle_address(std::string_view ip);

}  // namespace domicile::issuer
