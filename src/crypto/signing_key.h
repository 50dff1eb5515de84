// A private key bound to one signature algorithm: Ed25519 and ES256 for the built-in issuer, the
// others for tests and for keys that somebody brings. Immutable, thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/algorithm.h"
#include "crypto/openssl_ptr.h"
#include "crypto/verifying_key.h"

namespace domicile::crypto {

class SigningKey {
 public:
  // A new key; RSA gets 2,048 bits.
  static Result<SigningKey> generate(Algorithm algorithm);
  // PKCS #8 in PEM, not encrypted; refused when the key does not fit the algorithm.
  static Result<SigningKey> from_pem(Algorithm algorithm, const Secret& pem);
  // PKCS #8 in DER: what is sealed (sealed.h) and kept in the directory.
  static Result<SigningKey> from_der(Algorithm algorithm, const Secret& der);

  Secret to_pem() const;
  Secret to_der() const;
  Algorithm algorithm() const { return public_->algorithm(); }
  const std::shared_ptr<const VerifyingKey>& public_key() const { return public_; }

  // In JOSE form, see Verifier::verify().
  Result<std::string> sign(std::string_view message) const;

 private:
  static Result<SigningKey> adopt(Algorithm algorithm, OpensslPtr<EVP_PKEY> key);
  SigningKey(std::shared_ptr<EVP_PKEY> key, std::shared_ptr<const VerifyingKey> verifying)
      : key_(std::move(key)), public_(std::move(verifying)) {}
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<const VerifyingKey> public_;
};

}  // namespace domicile::crypto
