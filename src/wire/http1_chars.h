// Character classes of HTTP/1.1 and URIs (RFC 9110 section 5.6.2, RFC 3986 section 2) as one table,
// and comparisons that ignore ASCII case. Locale plays no part.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace domicile::wire {

inline constexpr std::uint8_t kTokenChar = 1;   // RFC 9110 token
inline constexpr std::uint8_t kUnreserved = 2;  // RFC 3986 unreserved
inline constexpr std::uint8_t kPathChar = 4;    // RFC 3986 pchar without '%', without '/'
inline constexpr std::uint8_t kVisible = 8;     // 0x21-0x7e
inline constexpr std::uint8_t kHostChar = 16;   // what a Host may hold, port and brackets included
inline constexpr std::uint8_t kFieldValueChar = 32;  // visible, space, tab, obs-text
inline constexpr std::uint8_t kPlainNameChar = 64;   // letters, digits, '-'

namespace detail {
constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&](std::string_view chars, std::uint8_t bits) {
    for (const char c : chars) table[static_cast<unsigned char>(c)] |= bits;
  };
  constexpr std::string_view alnum =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  add(alnum, kTokenChar | kUnreserved | kPathChar | kHostChar | kPlainNameChar);
  add("-", kPlainNameChar);
  add("!#$%&'*+-.^_`|~", kTokenChar);
  add("-._~", kUnreserved | kPathChar | kHostChar);
  add("!$&'()*+,;=:@", kPathChar);
  add(":[]", kHostChar);
  for (int c = 0x21; c < 0x7f; ++c)
    table[static_cast<std::size_t>(c)] |= kVisible | kFieldValueChar;
  for (int c = 0x80; c < 0x100; ++c) table[static_cast<std::size_t>(c)] |= kFieldValueChar;
  add(" \t", kFieldValueChar);
  return table;
}
inline constexpr auto kClasses = make_classes();
}  // namespace detail

constexpr bool is_class(char c, std::uint8_t bits) {
  return (detail::kClasses[static_cast<unsigned char>(c)] & bits) != 0;
}

constexpr bool all_of_class(std::string_view text, std::uint8_t bits) {
  std::uint8_t common = bits;
  for (const char c : text) common &= detail::kClasses[static_cast<unsigned char>(c)];
  return common == bits;
}

// All of kFieldValueChar, in the form that compilers turn into vectors: values are most of a head.
constexpr bool all_field_value(std::string_view text) {
  unsigned char odd = 0;
  for (const char at : text) {
    const auto c = static_cast<unsigned char>(at);
    odd |= static_cast<unsigned char>((c < 0x20 && c != '\t') || c == 0x7f);
  }
  return odd == 0;
}
static_assert([] {
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    if (all_field_value({&c, 1}) != is_class(c, kFieldValueChar)) return false;
  }
  return true;
}());

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// `lower` is already in lower case.
constexpr bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

constexpr std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace domicile::wire
