// The JOSE signature algorithms that Domicile speaks (RFC 7518 section 3, RFC 8037), and nothing
// else: no `none`, no HMAC. A key is bound to one of them when it is made, and a token's header
// cannot change that.
#pragma once

#include <optional>
#include <string_view>

namespace domicile::crypto {

enum class Algorithm { rs256, rs384, rs512, ps256, es256, es384, eddsa };

std::string_view to_string(Algorithm algorithm);  // "RS256", as JOSE writes it
std::optional<Algorithm> parse_algorithm(std::string_view text);

}  // namespace domicile::crypto
