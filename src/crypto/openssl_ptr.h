// Ownership of OpenSSL 3 objects, and its error queue as an Error. OpenSSL's own headers stay in
// .cpp files: here its types are only named.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
typedef struct evp_mac_ctx_st EVP_MAC_CTX;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct x509_st X509;
typedef struct bio_st BIO;
typedef struct bignum_st BIGNUM;

namespace domicile::crypto {

struct OpensslFree {
  void operator()(EVP_MD_CTX* p) const;
  void operator()(EVP_MAC_CTX* p) const;
  void operator()(EVP_PKEY* p) const;
  void operator()(EVP_PKEY_CTX* p) const;
  void operator()(EVP_CIPHER_CTX* p) const;
  void operator()(X509* p) const;
  void operator()(BIO* p) const;
  void operator()(BIGNUM* p) const;
};

template <typename T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

// Empties OpenSSL's error queue of this thread into one message: "doing: reason".
std::unexpected<Error> openssl_error(Code code, std::string_view doing);

}  // namespace domicile::crypto
