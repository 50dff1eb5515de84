// Reading PEM without ever asking a terminal for a passphrase. For .cpp files of this module.
#pragma once

#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "crypto/openssl_ptr.h"

namespace domicile::crypto {

inline int no_passphrase(char*, int, int, void*) { return -1; }

inline OpensslPtr<BIO> memory_bio(std::string_view text) {
  return OpensslPtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string_view bio_content(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

}  // namespace domicile::crypto
