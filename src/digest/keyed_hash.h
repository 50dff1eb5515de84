// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012) under a key that is made for one
// comparison and forgotten. Whoever writes rows cannot know it, so cannot write two rows of equal hash
// or rows whose sum is that of others; a hash without a key could be prepared for offline. About a
// nanosecond for three bytes: far below what COPY costs, so speed decides nothing here.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "digest/hash128.h"

namespace domicile::digest {

class KeyedHash {
 public:
  static constexpr std::size_t kKeyBytes = 16;
  // Code::invalid for a key of another length.
  static Result<KeyedHash> create(const Secret& key);

  Hash128 operator()(std::string_view bytes) const;

 private:
  KeyedHash(std::uint64_t k0, std::uint64_t k1) : k0_(k0), k1_(k1) {}
  std::uint64_t k0_;
  std::uint64_t k1_;
};

}  // namespace domicile::digest
