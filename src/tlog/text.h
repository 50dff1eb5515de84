// The small parts that every text of a transparency log is made of: lines that end in a newline,
// decimals without leading zeros, hashes in base64. Strict: one way to write a thing, so that what
// was signed is what is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/sha256.h"

namespace domicile::tlog {

// The next line without its newline, taken off the front; nullopt: no whole line is left.
std::optional<std::string_view> take_line(std::string_view& rest);

// Digits only, "0" or no leading zero, at most 2^64 - 1.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

std::string hash_text(const crypto::Digest256& hash);
std::optional<crypto::Digest256> parse_hash(std::string_view base64);
crypto::Digest256 hash_from(std::string_view bytes);  // exactly 32

// Valid UTF-8 (no surrogates, nothing overlong) without control characters but the newline.
bool is_plain_text(std::string_view text);
// Fit to name a key: not empty, valid UTF-8, no Unicode space, no control character, no '+'.
bool is_key_name(std::string_view text);

}  // namespace domicile::tlog
