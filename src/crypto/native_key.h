// The bridge between JOSE's raw parameters and signatures and OpenSSL's. For .cpp files of this
// module.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/algorithm.h"
#include "crypto/openssl_ptr.h"
#include "crypto/verifying_key.h"

namespace domicile::crypto {

// Length of one coordinate of the algorithm's curve: 32 or 48; 0 when it is not ECDSA.
std::size_t coordinate_bytes(Algorithm algorithm);

Result<OpensslPtr<EVP_PKEY>> make_public_key(Algorithm algorithm,
                                             const PublicParameters& parameters);
// Type, curve and strength fit the algorithm.
Result<void> check_fits(Algorithm algorithm, EVP_PKEY* key);
PublicParameters public_parameters(Algorithm algorithm, EVP_PKEY* key);

// ECDSA signatures: r || s of whole length <-> DER. "" when the input is not of that form. `der` in
// JOSE's direction is OpenSSL's own output.
std::string ecdsa_to_der(std::string_view raw, std::size_t coordinate);
std::string ecdsa_from_der(std::string_view der, std::size_t coordinate);

}  // namespace domicile::crypto
