// Refuses RSA public keys that are known to be weak. For .cpp files of this module.
#pragma once

#include <openssl/bn.h>

#include "base/result.h"

namespace domicile::crypto {

// Size, exponent and the ROCA fingerprint (Nemec et al., "The Return of Coppersmith's Attack",
// 2017, section 3: every such modulus is a power of 65537 modulo each of the small primes).
Result<void> check_rsa(const BIGNUM* n, const BIGNUM* e);

}  // namespace domicile::crypto
