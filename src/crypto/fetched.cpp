#include "crypto/fetched.h"

#include "base/check.h"

namespace domicile::crypto {
namespace {

const EVP_MD* fetch(const char* name) {
  const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);  // lives as long as the process
  CHECK(md != nullptr);
  return md;
}

}  // namespace

const EVP_MD* fetched_sha256() {
  static const EVP_MD* const md = fetch("SHA256");
  return md;
}
const EVP_MD* fetched_sha384() {
  static const EVP_MD* const md = fetch("SHA384");
  return md;
}
const EVP_MD* fetched_sha512() {
  static const EVP_MD* const md = fetch("SHA512");
  return md;
}

const EVP_MD* digest_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::rs256:
    case Algorithm::ps256:
    case Algorithm::es256: return fetched_sha256();
    case Algorithm::rs384:
    case Algorithm::es384: return fetched_sha384();
    case Algorithm::rs512: return fetched_sha512();
    case Algorithm::eddsa: return nullptr;
  }
  return nullptr;
}

}  // namespace domicile::crypto
