// Text forms of bytes: lower-case hex, base64 (RFC 4648 section 4) and base64url without padding
// (section 5, as JOSE uses it). Decoders are strict: any foreign character, wrong length or
// non-canonical last character is an error (nullopt), never a guess.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace domicile {

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace domicile
