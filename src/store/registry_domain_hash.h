// A verified e-mail domain as the registry holds it: HMAC-SHA256 under the registry's pepper, a
// secret of at least 32 bytes that every node has in a file and the registry's database has not.
// Whoever copies the registry cannot test it for the domains of small organizations or of single
// persons.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "domain/registry_snapshot.h"

namespace domicile::store {

// The domain in canonical form (lower case, no dot at the end) is hashed. Code::invalid unless it
// is a host name of two labels or more (RFC 1123; internationalized names in their xn-- form), or
// when the pepper is shorter than 32 bytes.
Result<domain::DomainHash> registry_domain_hash(const Secret& pepper, std::string_view domain);

// Tells whether two peppers are the same, without saying anything about them.
Result<domain::DomainHash> registry_pepper_fingerprint(const Secret& pepper);

}  // namespace domicile::store
