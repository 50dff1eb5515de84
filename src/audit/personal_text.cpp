#include "audit/personal_text.h"

#include <algorithm>

#include "audit/json_text.h"
#include "base/encoding.h"
#include "crypto/sha256.h"

namespace domicile::audit {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::string_view kHashMember = ",\"personal\":\"";
constexpr std::size_t kHashBytes = 43;  // base64url of 32 bytes
constexpr std::size_t kSlotBytes = 4;
constexpr std::size_t kSealBytesMin = 12 + 16;

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

}  // namespace

std::string commitment_of(const PersonalValue& value) {
  std::string salted;
  salted.reserve(kSaltBytes + value.value.size());
  salted.append(value.salt.data(), value.salt.size());
  salted += value.value;
  std::string out(kPrefix);
  out += crypto::sha256_hex(salted);
  return out;
}

bool is_commitment(std::string_view text) {
  return text.size() == kCommitmentBytes && text.starts_with(kPrefix) &&
         text.find_first_not_of("0123456789abcdef", kPrefix.size()) == text.npos;
}

std::string encode_values(std::span<const PersonalValue> values) {
  std::string out;
  for (const auto& value : values) {
    out.append(value.salt.data(), value.salt.size());
    out += static_cast<char>(value.name.size());
    out += value.name;
    out += static_cast<char>(value.value.size() & 255);
    out += static_cast<char>(value.value.size() >> 8);
    out += value.value;
  }
  return out;
}

std::optional<std::vector<PersonalValue>> decode_values(std::string_view bytes) {
  std::vector<PersonalValue> values;
  while (!bytes.empty()) {
    PersonalValue value;
    if (bytes.size() < kSaltBytes + 1) return std::nullopt;
    std::ranges::copy(bytes.substr(0, kSaltBytes), value.salt.begin());
    const std::size_t name = byte_at(bytes, kSaltBytes);
    bytes.remove_prefix(kSaltBytes + 1);
    if (bytes.size() < name + 2) return std::nullopt;
    value.name = bytes.substr(0, name);
    const std::size_t size = byte_at(bytes, name) | (byte_at(bytes, name + 1) << 8);
    bytes.remove_prefix(name + 2);
    if (size > kPersonalValueBytesMax || bytes.size() < size) return std::nullopt;
    value.value = bytes.substr(0, size);
    bytes.remove_prefix(size);
    values.push_back(std::move(value));
  }
  return values;
}

std::string encode_sealed(std::span<const SealedPart> parts) {
  std::string out;
  for (const auto& part : parts) {
    if (!out.empty()) out += '.';
    std::string bytes;
    for (unsigned i = 0; i < kSlotBytes; ++i) bytes += static_cast<char>(part.slot >> (8 * i));
    bytes += part.sealed;
    out += to_base64url(bytes);
  }
  return out;
}

std::optional<std::vector<SealedPart>> decode_sealed(std::string_view text) {
  if (text.empty() || text.size() > kSealedBytesMax) return std::nullopt;
  std::vector<SealedPart> parts;
  for (bool more = true; more;) {
    const std::size_t dot = text.find('.');
    more = dot != text.npos;
    const auto bytes = from_base64url(text.substr(0, dot));
    if (!bytes || bytes->size() < kSlotBytes + kSealBytesMin) return std::nullopt;
    SealedPart part;
    for (unsigned i = 0; i < kSlotBytes; ++i) part.slot |= byte_at(*bytes, i) << (8 * i);
    part.sealed = bytes->substr(kSlotBytes);
    parts.push_back(std::move(part));
    if (more) text.remove_prefix(dot + 1);
  }
  return parts;
}

std::string sealed_hash(std::string_view sealed) {
  return to_base64url(crypto::view(crypto::sha256(sealed)));
}

std::string_view sealed_hash_in(std::string_view line) {
  // A string inside the record cannot hold this: its quotes would be escaped. A detail of that name
  // stands in `details`, before the member of ours.
  const auto at = line.rfind(kHashMember);
  if (at == line.npos || line.size() < at + kHashMember.size() + kHashBytes + 1) return {};
  const auto hash = line.substr(at + kHashMember.size(), kHashBytes);
  return line[at + kHashMember.size() + kHashBytes] == '"' ? hash : std::string_view{};
}

bool reveal(std::string& line, const PersonalValue& value) {
  const std::string commitment = '"' + commitment_of(value) + '"';
  std::string text;
  append_json_string(text, value.value);
  bool found = false;
  for (auto at = line.find(commitment); at != line.npos; at = line.find(commitment, at)) {
    found = true;
    line.replace(at, commitment.size(), text);
    constexpr std::string_view kUid = "\"uid\":";
    if (value.name == kAddressField && line.substr(0, at).ends_with(kUid)) {
      constexpr std::string_view kIp = "\"ip\":";
      line.replace(at - kUid.size(), kUid.size(), kIp);
      at = at - kUid.size() + kIp.size();
    }
    at += text.size();
  }
  return found;
}

}  // namespace domicile::audit
