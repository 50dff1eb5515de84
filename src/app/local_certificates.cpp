#include "app/local_certificates.h"

#include <ctime>
#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "runtime/client_certificate.h"

namespace domicile::app {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

std::unexpected<Error> broken(const char* doing) {
  return fail(Code::internal, std::string("OpenSSL could not ") + doing);
}

std::string content(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

bool extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool fill(X509* certificate, EVP_PKEY* key, const std::string& name, long days) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Deleter<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  X509_NAME* subject = X509_get_subject_name(certificate);
  return number &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         X509_set_version(certificate, 2) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != nullptr &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

Result<Identity> to_pem(X509* certificate, EVP_PKEY* key) {
  const Bio public_part(BIO_new(BIO_s_mem()));
  const Bio private_part(BIO_new(BIO_s_secmem()));
  if (!public_part || !private_part || PEM_write_bio_X509(public_part.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(private_part.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return broken("write a certificate");
  }
  return Identity{content(public_part.get()), Secret(content(private_part.get()))};
}

Certificate read_certificate(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
}

}  // namespace

Result<Identity> make_authority(const std::string& common_name) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  if (!key || !certificate || !fill(certificate.get(), key.get(), common_name, 3650) ||
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) != 1 ||
      !extend(certificate.get(), certificate.get(), NID_basic_constraints,
              "critical,CA:TRUE,pathlen:0") ||
      !extend(certificate.get(), certificate.get(), NID_key_usage,
              "critical,keyCertSign,cRLSign") ||
      !extend(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return broken("make the local authority");
  }
  return to_pem(certificate.get(), key.get());
}

namespace {

Result<Identity> make_certificate(const Identity& authority, const std::string& common_name,
                                  const char* purpose, const std::string& alternative_names) {
  const Certificate issuer = read_certificate(authority.certificate);
  const std::string_view pem = authority.key.reveal();
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key issuer_key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr)
                           : nullptr);
  if (!issuer || !issuer_key) return fail(Code::invalid, "the local authority's files are damaged");
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  if (!key || !certificate || !fill(certificate.get(), key.get(), common_name, 825) ||
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get())) != 1 ||
      !extend(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !extend(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !extend(certificate.get(), issuer.get(), NID_ext_key_usage, purpose) ||
      !extend(certificate.get(), issuer.get(), NID_subject_key_identifier, "hash") ||
      !extend(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid:always") ||
      !extend(certificate.get(), issuer.get(), NID_subject_alt_name, alternative_names.c_str()) ||
      X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()) == 0) {
    return broken("make a certificate");
  }
  return to_pem(certificate.get(), key.get());
}

}  // namespace

Result<Identity> make_server_certificate(const Identity& authority,
                                         const std::string& common_name) {
  return make_certificate(authority, common_name, "serverAuth",
                          "IP:127.0.0.1,IP:::1,DNS:localhost");
}

Result<Identity> make_peer_certificate(const Identity& authority, const std::string& region) {
  return make_certificate(authority, region + " node", "clientAuth",
                          "URI:" + std::string(runtime::ClientCertificate::kRegionUri) + region);
}

bool valid_for_days(std::string_view certificate, int days) {
  const Certificate parsed = read_certificate(certificate);
  if (!parsed) return false;
  std::time_t until = std::time(nullptr) + std::time_t{days} * 86400;
  return X509_cmp_time(X509_get0_notAfter(parsed.get()), &until) > 0;
}

}  // namespace domicile::app
