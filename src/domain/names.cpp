#include "domain/names.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace domicile::domain {
namespace {

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool org_key_char(char c) {
  return lower(c) || upper(c) || digit(c) || c == '_' || c == '.' || c == ':' || c == '@' ||
         c == '-';
}

// What was wrong with the input, without echoing bytes that could forge a log line.
std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 64)) out.push_back(c >= ' ' && c < 127 ? c : '?');
  return text.size() > 64 ? out + "..." : out;
}

std::unexpected<Error> bad(std::string_view what, std::string_view text, std::string_view want) {
  return fail(Code::invalid, fmt::format("'{}' is not a {}: {}", shown(text), what, want));
}

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::ranges::all_of(text, [](char c) { return lower(c) || digit(c) || c == '-'; });
}

bool is_bigint(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  return error == std::errc{} && end == text.end() && fmt::format("{}", value) == text;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !(digit(text[i]) || (text[i] >= 'a' && text[i] <= 'f')))
      return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(KeyType type) {
  switch (type) {
    case KeyType::bigint: return "bigint";
    case KeyType::uuid: return "uuid";
    case KeyType::text: return "text";
  }
  return "text";
}

Result<KeyType> parse_key_type(std::string_view text) {
  if (text == "bigint") return KeyType::bigint;
  if (text == "uuid") return KeyType::uuid;
  if (text == "text") return KeyType::text;
  return bad("key type", text, "write bigint, uuid or text");
}

Result<OrgKey> parse_org_key(std::string_view text) {
  if (text.empty() || text.size() > 63 || !std::ranges::all_of(text, org_key_char)) {
    return bad("organization key", text, "1 to 63 characters of A-Z a-z 0-9 _ . : @ -");
  }
  return OrgKey(text);
}

Result<OrgKey> parse_org_key(std::string_view text, KeyType type) {
  if (type == KeyType::bigint && !is_bigint(text)) {
    return bad("bigint organization key", text,
               "a whole number in decimal, no sign or zeros in front");
  }
  if (type == KeyType::uuid && !is_uuid(text)) {
    return bad("uuid organization key", text, "8-4-4-4-12 lower-case hexadecimal digits");
  }
  return parse_org_key(text);
}

Result<Slug> parse_slug(std::string_view text) {
  if (!is_label(text))
    return bad("slug", text, "1 to 63 of a-z 0-9 -, not starting or ending with -");
  return Slug(text);
}

Result<RegionId> parse_region_id(std::string_view text) {
  if (!is_label(text)) return bad("region", text, "a name such as ca-central-1");
  return RegionId(text);
}

Result<LocationId> parse_location_id(std::string_view text) {
  if (!is_label(text)) return bad("location", text, "a name such as ca-west-1");
  return LocationId(text);
}

Result<JurisdictionId> parse_jurisdiction_id(std::string_view text) {
  const bool ok =
      text.size() >= 2 && text.size() <= 16 && upper(text.front()) &&
      std::ranges::all_of(text, [](char c) { return upper(c) || digit(c) || c == '-'; });
  if (!ok) return bad("jurisdiction", text, "an upper-case code such as CA or EU");
  return JurisdictionId(text);
}

Result<Permission> parse_permission(std::string_view text) {
  const auto colon = text.find(':');
  const auto word = [](std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, [](char c) {
      return lower(c) || digit(c) || c == '_' || c == '.' || c == '-';
    });
  };
  if (colon == std::string_view::npos || text.size() > 127 || !word(text.substr(0, colon)) ||
      !word(text.substr(colon + 1))) {
    return bad("permission", text, "noun:verb in lower case, such as courses:read");
  }
  return Permission(text);
}

Result<RoleName> parse_role_name(std::string_view text) {
  const bool ok = !text.empty() && text.size() <= 63 && lower(text.front()) &&
                  std::ranges::all_of(
                      text, [](char c) { return lower(c) || digit(c) || c == '_' || c == '-'; });
  if (!ok) return bad("role", text, "1 to 63 of a-z 0-9 _ -, starting with a letter");
  return RoleName(text);
}

}  // namespace domicile::domain
