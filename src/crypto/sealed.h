// Small secrets at rest: AES-256-GCM (NIST SP 800-38D) under a key of 32 bytes, with a random nonce
// of 96 bits in front and the tag behind: nonce[12] || ciphertext || tag[16]. `context` is
// authenticated and not stored: it names what is sealed ("signing-key:<kid>"), so that one sealed
// value cannot be passed off as another. Below 2^32 seals per key, as a directory's keys are.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace domicile::crypto {

class SealingKey {
 public:
  static Result<SealingKey> create(Secret key);  // exactly 32 bytes

  std::string seal(const Secret& plain, std::string_view context) const;
  // Code::denied when the key, the context or a byte is wrong.
  Result<Secret> open(std::string_view sealed, std::string_view context) const;

 private:
  explicit SealingKey(Secret key) : key_(std::move(key)) {}
  Secret key_;
};

}  // namespace domicile::crypto
