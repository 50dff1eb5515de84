#include "crypto/signing_key.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "crypto/fetched.h"
#include "crypto/native_key.h"
#include "crypto/pem.h"

namespace domicile::crypto {
namespace {

constexpr std::size_t kRsaBits = 2048;

OpensslPtr<EVP_PKEY> generate_native(Algorithm algorithm) {
  EVP_PKEY* key = nullptr;
  switch (algorithm) {
    case Algorithm::eddsa: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
    case Algorithm::es256: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"); break;
    case Algorithm::es384: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"); break;
    case Algorithm::rs256:
    case Algorithm::rs384:
    case Algorithm::rs512:
    case Algorithm::ps256: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", kRsaBits); break;
  }
  return OpensslPtr<EVP_PKEY>(key);
}

// A BIO of secure content: wiped when it is freed.
Secret take_secret(BIO* bio) { return Secret(std::string(bio_content(bio))); }

OpensslPtr<BIO> secret_bio() { return OpensslPtr<BIO>(BIO_new(BIO_s_secmem())); }

}  // namespace

Result<SigningKey> SigningKey::adopt(Algorithm algorithm, OpensslPtr<EVP_PKEY> key) {
  // The public half as a key of its own: what is published can never carry the private one.
  TRY(check_fits(algorithm, key.get()));
  auto verifying = TRY(VerifyingKey::create(algorithm, public_parameters(algorithm, key.get())));
  return SigningKey(std::shared_ptr<EVP_PKEY>(key.release(), OpensslFree{}), std::move(verifying));
}

Result<SigningKey> SigningKey::generate(Algorithm algorithm) {
  auto key = generate_native(algorithm);
  if (key == nullptr) return openssl_error(Code::internal, "making a key");
  return adopt(algorithm, std::move(key));
}

Result<SigningKey> SigningKey::from_pem(Algorithm algorithm, const Secret& pem) {
  const auto bio = memory_bio(pem.reveal());
  OpensslPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return openssl_error(Code::invalid, "not a private key in PEM");
  return adopt(algorithm, std::move(key));
}

Result<SigningKey> SigningKey::from_der(Algorithm algorithm, const Secret& der) {
  const auto bio = memory_bio(der.reveal());
  OpensslPtr<EVP_PKEY> key(d2i_PrivateKey_bio(bio.get(), nullptr));
  if (key == nullptr) return openssl_error(Code::invalid, "not a private key in DER");
  return adopt(algorithm, std::move(key));
}

Secret SigningKey::to_pem() const {
  const auto bio = secret_bio();
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                      nullptr) == 1);
  return take_secret(bio.get());
}

Secret SigningKey::to_der() const {
  const auto bio = secret_bio();
  CHECK(i2d_PKCS8PrivateKey_bio(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return take_secret(bio.get());
}

Result<std::string> SigningKey::sign(std::string_view message) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* native = nullptr;
  if (context == nullptr || EVP_DigestSignInit(context.get(), &native, digest_of(algorithm()),
                                               nullptr, key_.get()) != 1) {
    return openssl_error(Code::internal, "signing");
  }
  if (algorithm() == Algorithm::ps256) {
    CHECK(EVP_PKEY_CTX_set_rsa_padding(native, RSA_PKCS1_PSS_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(native, RSA_PSS_SALTLEN_DIGEST) == 1);
  }
  std::size_t length = 0;
  if (EVP_DigestSign(context.get(), nullptr, &length, bytes, message.size()) != 1) {
    return openssl_error(Code::internal, "signing");
  }
  std::string out(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, bytes,
                     message.size()) != 1) {
    return openssl_error(Code::internal, "signing");
  }
  out.resize(length);
  const auto coordinate = coordinate_bytes(algorithm());
  return coordinate == 0 ? out : ecdsa_from_der(out, coordinate);
}

}  // namespace domicile::crypto
