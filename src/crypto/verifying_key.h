// A public key bound to one signature algorithm. Parsed and validated once (curve, point on the
// curve, RSA size and exponent, weak-key fingerprint), immutable and shareable between threads ever
// after.
//
// Checking signatures is the hot path of every door, so the work that repeats is prepared in a
// Verifier: contexts and digests fetched once, nothing allocated per check but what OpenSSL does
// inside. A Verifier belongs to one thread.
//
// RSA keys have 2,048 to 8,192 bits (RFC 7518 section 3.3; the upper limit bounds the cost of a
// check), an odd exponent of at least 65,537 and no more than 64 bits, and no ROCA fingerprint
// (CVE-2017-15361).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/algorithm.h"
#include "crypto/openssl_ptr.h"

namespace domicile::crypto {

// Public parameters as raw big-endian bytes, as JWKs carry them. RSA: n, e. EC: x, y of the curve's
// whole length. Ed25519: x.
struct PublicParameters {
  std::string n{}, e{};
  std::string x{}, y{};
};

class VerifyingKey {
 public:
  static Result<std::shared_ptr<const VerifyingKey>> create(Algorithm algorithm,
                                                            const PublicParameters& parameters);
  // SubjectPublicKeyInfo in PEM; refused when the key does not fit the algorithm.
  static Result<std::shared_ptr<const VerifyingKey>> from_pem(Algorithm algorithm,
                                                              std::string_view pem);

  Algorithm algorithm() const { return algorithm_; }
  PublicParameters parameters() const;
  std::string to_pem() const;
  EVP_PKEY* native() const { return key_.get(); }

 private:
  friend class SigningKey;
  static Result<std::shared_ptr<const VerifyingKey>> adopt(Algorithm algorithm,
                                                           OpensslPtr<EVP_PKEY> key);
  VerifyingKey(Algorithm algorithm, OpensslPtr<EVP_PKEY> key)
      : algorithm_(algorithm), key_(std::move(key)) {}
  Algorithm algorithm_;
  OpensslPtr<EVP_PKEY> key_;
};

class Verifier {
 public:
  explicit Verifier(std::shared_ptr<const VerifyingKey> key);
  Algorithm algorithm() const { return key_->algorithm(); }

  // `signature` is in JOSE form: for ECDSA r || s, each of the curve's whole length (64 or 96
  // bytes), never DER. Any other length is a plain false, as is every failure.
  bool verify(std::string_view message, std::string_view signature);

 private:
  bool verify_digest(std::string_view digest, std::string_view signature);
  std::shared_ptr<const VerifyingKey> key_;
  OpensslPtr<EVP_MD_CTX> digest_;     // hashing, or the whole of Ed25519
  OpensslPtr<EVP_PKEY_CTX> context_;  // RSA and ECDSA
};

}  // namespace domicile::crypto
