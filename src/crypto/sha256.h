// SHA-256 (FIPS 180-4), whole or streamed. The digest is 32 raw bytes; text forms are
// base/encoding.h's affair. One thread at a time per object; the free function is thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "crypto/openssl_ptr.h"

namespace domicile::crypto {

using Digest256 = std::array<unsigned char, 32>;

inline std::string_view view(const Digest256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest256 sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);

class Sha256 {
 public:
  Sha256();
  Sha256& update(std::string_view bytes);
  // The digest of everything since construction or the last finish(); the object starts anew.
  Digest256 finish();

 private:
  OpensslPtr<EVP_MD_CTX> context_;
};

}  // namespace domicile::crypto
