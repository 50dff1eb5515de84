// The public keys of one issuer, from a JWKS document (RFC 7517). Immutable: a changed document
// makes a new KeySet, which is handed to the loops by message; readers never lock.
//
// Strict, because a key set decides who may speak for an issuer: at most 64 KiB and 64 keys, UTF-8,
// no duplicate member names, every signing key with a `kid` of its own, no private members (d, p,
// k...), no symmetric keys. A key's algorithm is its `alg`, or follows from type and curve where
// `alg` is absent (RSA: RS256; P-256: ES256; P-384: ES384; Ed25519: EdDSA); an `alg` that does not
// fit the type or curve refuses the whole set. Keys for encryption (use, key_ops) and keys of types
// or algorithms that Domicile does not speak are left out: a token that names one is refused. x5c,
// x5u and jku are ignored: the document itself is what is trusted.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/verifying_key.h"

namespace domicile::token {

struct NamedKey {
  std::string kid;
  std::shared_ptr<const crypto::VerifyingKey> key;
};

class KeySet {
 public:
  static constexpr std::size_t kMaxBytes = 64 * 1024;
  static constexpr std::size_t kMaxKeys = 64;

  // Code::invalid with the reason "jwks_invalid". A set without one usable key is an error too.
  static Result<std::shared_ptr<const KeySet>> parse(std::string_view jwks);
  static Result<std::shared_ptr<const KeySet>> create(std::vector<NamedKey> keys);

  const NamedKey* find(std::string_view kid) const;  // nullptr when unknown
  const std::vector<NamedKey>& keys() const { return keys_; }
  // The JWKS document of these keys in their order, with kty, crv, alg, use and kid.
  std::string to_json() const;

 private:
  explicit KeySet(std::vector<NamedKey> keys) : keys_(std::move(keys)) {}
  std::vector<NamedKey> keys_;
};

// One public JWK as JSON, and its RFC 7638 thumbprint (base64url of SHA-256), which Domicile's own
// issuer uses as `kid`.
std::string jwk_json(const NamedKey& key);
std::string jwk_thumbprint(const crypto::VerifyingKey& key);

}  // namespace domicile::token
