// Passwords as argon2id (RFC 9106) in their encoded text form. Hashing is meant to be dear in time
// and memory, so only `concurrent` hashes run at once and only `waiting` callers queue for a turn:
// a flood of sign-ins costs a known amount of memory and the rest is told to come back
// (Code::unavailable, reason "busy").
//
// Verifying against an empty hash does the same work and says no: whoever asks about a user that
// does not exist waits as long as for one that does. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace domicile::issuer {

struct PasswordOptions {
  std::uint32_t memory_kib = 19 * 1024;  // times `concurrent` is what sign-in may use
  std::uint32_t iterations = 2;
  unsigned concurrent = 2;
  unsigned waiting = 64;
  std::chrono::milliseconds wait{2000};
};

class PasswordHasher {
 public:
  static constexpr std::size_t kBytesMin = 10;
  static constexpr std::size_t kBytesMax = 256;

  explicit PasswordHasher(PasswordOptions options = {});

  Result<std::string> hash(const Secret& password);
  Result<bool> verify(const Secret& password, std::string_view encoded);
  // How often verify() has hashed.
  std::uint64_t checks() const { return checks_; }

  // A password that a person may choose: its length, and no control characters. Code::invalid says
  // what to change.
  static Result<void> check_new(const Secret& password);

 private:
  class Turn;
  PasswordOptions options_;
  std::string nobody_;  // a hash that no password has
  std::mutex mutex_;
  std::condition_variable freed_;
  unsigned running_ = 0;
  unsigned queued_ = 0;
  std::atomic<std::uint64_t> checks_ = 0;
};

}  // namespace domicile::issuer
