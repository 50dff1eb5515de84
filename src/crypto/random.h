// Random bytes from OpenSSL's generator, fit for keys, nonces and identifiers. Aborts when the
// system has no entropy: nothing may go on without. Thread-safe.
#pragma once

#include <cstddef>
#include <string>

#include "base/secret.h"

namespace domicile::crypto {

std::string random_bytes(std::size_t count);
Secret random_secret(std::size_t count);
// `count` random bytes as base64url text without padding: for identifiers and tokens.
std::string random_text(std::size_t count);

}  // namespace domicile::crypto
