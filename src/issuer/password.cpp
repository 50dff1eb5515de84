#include "issuer/password.h"

#include <algorithm>

#include <argon2.h>
#include <fmt/format.h>

#include "crypto/random.h"

namespace domicile::issuer {
namespace {

constexpr std::uint32_t kLanes = 1;
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kHashBytes = 32;

Result<std::string> encode(const PasswordOptions& options, std::string_view password,
                           std::string_view salt) {
  std::string out(argon2_encodedlen(options.iterations, options.memory_kib, kLanes, kSaltBytes,
                                    kHashBytes, Argon2_id),
                  '\0');
  const int rc = argon2id_hash_encoded(options.iterations, options.memory_kib, kLanes,
                                       password.data(), password.size(), salt.data(), salt.size(),
                                       kHashBytes, out.data(), out.size());
  if (rc != ARGON2_OK) {
    return fail(Code::unavailable, fmt::format("argon2id: {}", argon2_error_message(rc)));
  }
  out.resize(out.find('\0'));
  return out;
}

}  // namespace

// One of the `concurrent` places, waited for in bounded company for a bounded time.
class PasswordHasher::Turn {
 public:
  explicit Turn(PasswordHasher& hasher) : hasher_(hasher) {
    std::unique_lock lock(hasher.mutex_);
    if (hasher.running_ >= hasher.options_.concurrent) {
      if (hasher.queued_ >= hasher.options_.waiting) return;
      ++hasher.queued_;
      const bool free = hasher.freed_.wait_for(
          lock, hasher.options_.wait, [&] { return hasher.running_ < hasher.options_.concurrent; });
      --hasher.queued_;
      if (!free) return;
    }
    ++hasher.running_;
    mine_ = true;
  }
  ~Turn() {
    if (!mine_) return;
    const std::lock_guard lock(hasher_.mutex_);
    --hasher_.running_;
    hasher_.freed_.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  Result<void> check() const {
    if (mine_) return {};
    return fail(Code::unavailable, "too many sign-ins at once", "busy");
  }

 private:
  PasswordHasher& hasher_;
  bool mine_ = false;
};

PasswordHasher::PasswordHasher(PasswordOptions options) : options_(options) {
  nobody_ = encode(options_, crypto::random_bytes(32), crypto::random_bytes(kSaltBytes)).value();
}

Result<std::string> PasswordHasher::hash(const Secret& password) {
  const Turn turn(*this);
  TRY(turn.check());
  return encode(options_, password.reveal(), crypto::random_bytes(kSaltBytes));
}

Result<bool> PasswordHasher::verify(const Secret& password, std::string_view encoded) {
  const Turn turn(*this);
  TRY(turn.check());
  const std::string against(encoded.empty() ? std::string_view(nobody_) : encoded);
  const auto text = password.reveal();
  ++checks_;
  const int rc = argon2id_verify(against.c_str(), text.data(), text.size());
  if (rc == ARGON2_OK) return !encoded.empty();
  if (rc == ARGON2_VERIFY_MISMATCH) return false;
  return fail(Code::internal, fmt::format("a stored password hash: {}", argon2_error_message(rc)));
}

Result<void> PasswordHasher::check_new(const Secret& password) {
  const auto text = password.reveal();
  if (text.size() < kBytesMin || text.size() > kBytesMax) {
    return fail(Code::invalid, fmt::format("a password has {} to {} bytes", kBytesMin, kBytesMax));
  }
  if (std::ranges::any_of(text, [](unsigned char c) { return c < ' ' || c == 127; })) {
    return fail(Code::invalid,
                "a password has no control characters (is there a line break in it?)");
  }
  return {};
}

}  // namespace domicile::issuer
