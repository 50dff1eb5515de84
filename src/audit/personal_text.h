// What stands in a log instead of a person, as text. Pure.
//
// The entry holds a commitment for each personal field, `sha256:` and the hex of
// SHA-256(salt[16] || value): whoever is given salt and value can check them against the log, and
// whoever has the log alone cannot guess even an address, because of the salt. Beside the entry
// stands one sealed text with all salts and values, and the entry holds its hash
// (unmapped.personal), so that a sealed text that was changed or moved is found without any key.
//
//   sealed  = part *("." part)              one part per person
//   part    = base64url(key's slot[4] || nonce[12] || ciphertext || tag[16])
//   plain   = *(salt[16] || name size[1] || name || value size[2] || value)      little-endian
//
// Decoders refuse anything that is not exactly so.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace domicile::audit {

constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kPersonalValueBytesMax = 1024;
constexpr std::size_t kCommitmentBytes = 7 + 64;
constexpr std::size_t kSealedBytesMax = 24u << 10;
constexpr std::string_view kAddressField = "ip";  // stands in src_endpoint

struct PersonalValue {
  std::array<char, kSaltBytes> salt{};
  std::string name;
  std::string value;
};

std::string commitment_of(const PersonalValue& value);
bool is_commitment(std::string_view text);

std::string encode_values(std::span<const PersonalValue> values);
std::optional<std::vector<PersonalValue>> decode_values(std::string_view bytes);

struct SealedPart {
  std::uint32_t slot = 0;
  std::string sealed;
};
std::string encode_sealed(std::span<const SealedPart> parts);
std::optional<std::vector<SealedPart>> decode_sealed(std::string_view text);

std::string sealed_hash(std::string_view sealed);  // as it stands in unmapped.personal
// The hash that an entry holds; empty: the entry has no personal fields.
std::string_view sealed_hash_in(std::string_view line);

// Puts a value where its commitment stands; false: the line holds no such commitment.
bool reveal(std::string& line, const PersonalValue& value);

}  // namespace domicile::audit
