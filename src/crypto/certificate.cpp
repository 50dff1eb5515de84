#include "crypto/certificate.h"

#include <array>
#include <ctime>
#include <memory>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
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

bool Certificate::is_for(const std::string& host) const {
  return X509_check_host(certificate_.get(), host.c_str(), host.size(), 0, nullptr) == 1 ||
         X509_check_ip_asc(certificate_.get(), host.c_str(), 0) == 1;
}

bool Certificate::has_key(const Secret& private_key_pem) const {
  const auto bio = memory_bio(private_key_pem.reveal());
  OpensslPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  const bool same = key != nullptr && X509_check_private_key(certificate_.get(), key.get()) == 1;
  ERR_clear_error();
  return same;
}

Result<void> verify_chain(std::string_view pem, const std::filesystem::path& authorities,
                          std::int64_t now_s) {
  using Store = std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)>;
  using Context = std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)>;
  struct FreeAll {
    void operator()(STACK_OF(X509) * all) const { sk_X509_pop_free(all, X509_free); }
  };
  const auto bio = memory_bio(pem);
  OpensslPtr<X509> leaf(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (leaf == nullptr) return openssl_error(Code::invalid, "not a certificate in PEM");
  const std::unique_ptr<STACK_OF(X509), FreeAll> between(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    CHECK(sk_X509_push(between.get(), next) > 0);
  }
  ERR_clear_error();  // the end of the file is one for OpenSSL
  const Store store(X509_STORE_new(), &X509_STORE_free);
  const int loaded = authorities.empty() ? X509_STORE_set_default_paths(store.get())
                                         : X509_STORE_load_file(store.get(), authorities.c_str());
  if (loaded != 1) {
    return openssl_error(Code::invalid, "no authorities in " + authorities.string());
  }
  const Context context(X509_STORE_CTX_new(), &X509_STORE_CTX_free);
  CHECK(X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), between.get()) == 1);
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), now_s);
  const bool good = X509_verify_cert(context.get()) == 1;
  const int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (good) return {};
  return fail(Code::invalid, X509_verify_cert_error_string(why));
}

}  // namespace domicile::crypto
