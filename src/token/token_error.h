// Why a token was refused, as stable reason codes for events and problem+json. Clients learn no
// more than this from a door; which check failed first is no secret, which keys exist is not told.
#pragma once

#include <string_view>

namespace domicile::token::reason {

inline constexpr std::string_view malformed = "token_malformed";  // shape, encoding, JSON, size
inline constexpr std::string_view algorithm =
    "token_algorithm";                                      // alg absent, unknown or not the key's
inline constexpr std::string_view header = "token_header";  // crit, typ, embedded keys, ...
inline constexpr std::string_view issuer = "token_issuer_unknown";
inline constexpr std::string_view key = "token_key_unknown";
inline constexpr std::string_view signature = "token_signature";
inline constexpr std::string_view claims =
    "token_claims";  // absent, of another type, or out of range
inline constexpr std::string_view audience = "token_audience";
inline constexpr std::string_view expired = "token_expired";
inline constexpr std::string_view not_yet = "token_not_yet_valid";
inline constexpr std::string_view region = "token_region";  // issuer of another region
inline constexpr std::string_view revoked = "token_revoked";

}  // namespace domicile::token::reason
