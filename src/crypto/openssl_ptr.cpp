#include "crypto/openssl_ptr.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace domicile::crypto {

void OpensslFree::operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
void OpensslFree::operator()(EVP_MAC_CTX* p) const { EVP_MAC_CTX_free(p); }
void OpensslFree::operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
void OpensslFree::operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
void OpensslFree::operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
void OpensslFree::operator()(X509* p) const { X509_free(p); }
void OpensslFree::operator()(BIO* p) const { BIO_free_all(p); }
void OpensslFree::operator()(BIGNUM* p) const { BN_clear_free(p); }

std::unexpected<Error> openssl_error(Code code, std::string_view doing) {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  const char* reason = first == 0 ? nullptr : ERR_reason_error_string(first);
  return fail(code,
              fmt::format("{}: {}", doing, reason == nullptr ? "refused by OpenSSL" : reason));
}

}  // namespace domicile::crypto
