// HMAC-SHA-256 (RFC 2104) with the key schedule computed once: a MAC costs only the hashing of the
// message. One thread at a time; clone() gives another thread its own.
#pragma once

#include <string_view>

#include "base/secret.h"
#include "crypto/openssl_ptr.h"
#include "crypto/sha256.h"

namespace domicile::crypto {

class HmacSha256 {
 public:
  explicit HmacSha256(const Secret& key);
  HmacSha256 clone() const;

  Digest256 mac(std::string_view message);
  // Constant time.
  bool verify(std::string_view message, std::string_view expected_mac);

 private:
  explicit HmacSha256(OpensslPtr<EVP_MAC_CTX> context);
  OpensslPtr<EVP_MAC_CTX> context_;
};

}  // namespace domicile::crypto
