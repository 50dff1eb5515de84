#include "crypto/certificate.h"

#include <array>
#include <ctime>
#include <memory>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/encoding.h"
#include "crypto/pem.h"

namespace domicile::crypto {
namespace {

std::int64_t unix_seconds(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return timegm(&fields);
}

}  // namespace

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  const auto bio = memory_bio(pem);
  OpensslPtr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (certificate == nullptr) return openssl_error(Code::invalid, "not a certificate in PEM");
  return Certificate(std::move(certificate));
}

std::string Certificate::subject() const {
  OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate_.get()), 0,
                           XN_FLAG_RFC2253) >= 0);
  return std::string(bio_content(bio.get()));
}

std::string Certificate::sha256_fingerprint() const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  CHECK(X509_digest(certificate_.get(), EVP_sha256(), digest.data(), &length) == 1);
  return to_hex({reinterpret_cast<const char*>(digest.data()), length});
}

std::vector<std::string> Certificate::dns_names() const {
  std::vector<std::string> out;
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate_.get(), NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  if (names == nullptr) return out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = ASN1_STRING_get0_data(name->d.dNSName);
    out.emplace_back(reinterpret_cast<const char*>(text),
                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return out;
}

std::int64_t Certificate::not_before() const {
  return unix_seconds(X509_get0_notBefore(certificate_.get()));
}
std::int64_t Certificate::not_after() const {
  return unix_seconds(X509_get0_notAfter(certificate_.get()));
}

}  // namespace domicile::crypto
