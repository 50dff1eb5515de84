#include "crypto/sha256.h"

#include "base/check.h"
#include "base/encoding.h"
#include "crypto/fetched.h"

namespace domicile::crypto {

Digest256 sha256(std::string_view bytes) {
  Digest256 out;
  unsigned int length = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), &length, fetched_sha256(), nullptr) ==
        1);
  return out;
}

std::string sha256_hex(std::string_view bytes) { return to_hex(view(sha256(bytes))); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr && EVP_DigestInit_ex2(context_.get(), fetched_sha256(), nullptr) == 1);
}

Sha256& Sha256::update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

Digest256 Sha256::finish() {
  Digest256 out;
  unsigned int length = 0;
  CHECK(EVP_DigestFinal_ex(context_.get(), out.data(), &length) == 1);
  CHECK(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1);
  return out;
}

}  // namespace domicile::crypto
