// OpenSSL 3 looks an algorithm up by name on every use unless it was fetched before: these are,
// once per process, and never change. For .cpp files of this module.
#pragma once

#include <openssl/evp.h>

#include "crypto/algorithm.h"

namespace domicile::crypto {

const EVP_MD* fetched_sha256();
const EVP_MD* fetched_sha384();
const EVP_MD* fetched_sha512();
// The digest of an algorithm; null for EdDSA, which hashes inside.
const EVP_MD* digest_of(Algorithm algorithm);

}  // namespace domicile::crypto
