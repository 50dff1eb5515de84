#include "crypto/verifying_key.h"

#include <array>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "crypto/fetched.h"
#include "crypto/native_key.h"
#include "crypto/pem.h"

namespace domicile::crypto {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Result<std::shared_ptr<const VerifyingKey>> VerifyingKey::adopt(Algorithm algorithm,
                                                                OpensslPtr<EVP_PKEY> key) {
  TRY(check_fits(algorithm, key.get()));
  return std::shared_ptr<const VerifyingKey>(new VerifyingKey(algorithm, std::move(key)));
}

Result<std::shared_ptr<const VerifyingKey>> VerifyingKey::create(
    Algorithm algorithm, const PublicParameters& parameters) {
  return adopt(algorithm, TRY(make_public_key(algorithm, parameters)));
}

Result<std::shared_ptr<const VerifyingKey>> VerifyingKey::from_pem(Algorithm algorithm,
                                                                   std::string_view pem) {
  const auto bio = memory_bio(pem);
  OpensslPtr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return openssl_error(Code::invalid, "not a public key in PEM");
  return adopt(algorithm, std::move(key));
}

PublicParameters VerifyingKey::parameters() const {
  return public_parameters(algorithm_, key_.get());
}

std::string VerifyingKey::to_pem() const {
  OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return std::string(bio_content(bio.get()));
}

Verifier::Verifier(std::shared_ptr<const VerifyingKey> key)
    : key_(std::move(key)), digest_(EVP_MD_CTX_new()) {
  CHECK(digest_ != nullptr);
  const Algorithm algorithm = key_->algorithm();
  if (algorithm == Algorithm::eddsa) return;
  context_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key_->native(), nullptr));
  CHECK(context_ != nullptr && EVP_PKEY_verify_init(context_.get()) == 1);
  if (algorithm == Algorithm::es256 || algorithm == Algorithm::es384) return;
  const bool pss = algorithm == Algorithm::ps256;
  CHECK(EVP_PKEY_CTX_set_rsa_padding(context_.get(),
                                     pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1);
  CHECK(EVP_PKEY_CTX_set_signature_md(context_.get(), digest_of(algorithm)) == 1);
  if (!pss) return;
  CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md(context_.get(), digest_of(algorithm)) == 1);
  CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(context_.get(), RSA_PSS_SALTLEN_DIGEST) ==
        1);  // RFC 7518 section 3.5
}

bool Verifier::verify(std::string_view message, std::string_view signature) {
  bool good = false;
  if (key_->algorithm() == Algorithm::eddsa) {
    good = EVP_DigestVerifyInit_ex(digest_.get(), nullptr, nullptr, nullptr, nullptr,
                                   key_->native(), nullptr) == 1 &&
           EVP_DigestVerify(digest_.get(), bytes_of(signature), signature.size(), bytes_of(message),
                            message.size()) == 1;
  } else {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int length = 0;
    CHECK(EVP_DigestInit_ex2(digest_.get(), digest_of(key_->algorithm()), nullptr) == 1 &&
          EVP_DigestUpdate(digest_.get(), message.data(), message.size()) == 1 &&
          EVP_DigestFinal_ex(digest_.get(), digest.data(), &length) == 1);
    good = verify_digest({reinterpret_cast<const char*>(digest.data()), length}, signature);
  }
  if (!good) ERR_clear_error();
  return good;
}

bool Verifier::verify_digest(std::string_view digest, std::string_view signature) {
  std::string der;
  if (const auto coordinate = coordinate_bytes(key_->algorithm()); coordinate != 0) {
    der = ecdsa_to_der(signature, coordinate);
    if (der.empty()) return false;
    signature = der;
  }
  return EVP_PKEY_verify(context_.get(), bytes_of(signature), signature.size(), bytes_of(digest),
                         digest.size()) == 1;
}

}  // namespace domicile::crypto
