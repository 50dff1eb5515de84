// POST /v1/discovery: {"organization": "acme"} or {"domain": "acme.example"} -> {"region",
// "issuer"}. Never takes an address: nobody's name has to leave a browser to find out where to sign
// in. The answer for a name that does not exist has the same shape, the same time and a region that
// stays the same.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "domain/registry_snapshot.h"
#include "http/message.h"
#include "issuer/locator.h"

namespace domicile::issuer {

http::Response discover(const http::Request& request, const domain::RegistrySnapshot& snapshot,
                        const Locator& locator);

// A DNS name in lower case (RFC 1035 letters, digits, hyphens; at least two labels); "" when it is
// none. An internationalized name comes in its xn-- form.
std::string canonical_domain(std::string_view text);

}  // namespace domicile::issuer
