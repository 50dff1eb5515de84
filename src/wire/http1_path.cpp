#include "wire/http1_path.h"

#include "base/check.h"
#include "wire/http1_chars.h"

namespace domicile::wire {
namespace {

constexpr std::string_view kUpperHex = "0123456789ABCDEF";

// `.` and `..`, also with a path parameter behind (`..;x`), which some servers cut off first.
bool is_dot_segment(std::string_view segment) {
  const std::string_view name = segment.substr(0, segment.find(';'));
  return name == "." || name == "..";
}

// Every segment of a decoded path that starts with '/'; the last one may be empty.
Fault check_segments(std::string_view path) {
  std::size_t start = 1;
  while (true) {
    const std::size_t slash = path.find('/', start);
    const bool last = slash == std::string_view::npos;
    const std::string_view segment = path.substr(start, last ? slash : slash - start);
    if (segment.empty() && !last) return Fault::path_empty_segment;
    if (is_dot_segment(segment)) return Fault::path_dot_segment;
    if (last) return Fault::none;
    start = slash + 1;
  }
}

// RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < length) return false;
    const auto second = static_cast<unsigned char>(text[i + 1]);
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (std::size_t j = 2; j < length; ++j) {
      if ((static_cast<unsigned char>(text[i + j]) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

Fault fault_of_plain(char c) {
  if (c == '\\') return Fault::path_backslash;
  if (c == '\0') return Fault::path_nul;
  if (static_cast<unsigned char>(c) >= 0x80) return Fault::path_non_ascii;
  if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return Fault::path_control;
  return Fault::path_bad_character;
}

Fault fault_of_escaped(char c) {
  if (c == '\0') return Fault::path_nul;
  if (c == '/') return Fault::path_encoded_slash;
  if (c == '\\') return Fault::path_backslash;
  if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return Fault::path_control;
  return Fault::none;
}

bool is_escape(std::string_view text) {
  return text.size() >= 2 && hex_value(text[0]) >= 0 && hex_value(text[1]) >= 0;
}

// An escape that appears only once the escapes are decoded, from whatever parts.
bool holds_escape(std::string_view decoded) {
  for (std::size_t at = decoded.find('%'); at != std::string_view::npos;
       at = decoded.find('%', at + 1)) {
    if (is_escape(decoded.substr(at + 1))) return true;
  }
  return false;
}

}  // namespace

Fault clean_path(std::string_view raw, std::span<char> scratch, CleanPath& out) {
  if (raw.empty() || raw.front() != '/') return Fault::bad_target;
  bool escaped = false;
  for (const char c : raw) {
    if (is_class(c, kPathChar) || c == '/') continue;
    if (c != '%') return fault_of_plain(c);
    escaped = true;
  }
  if (!escaped) {
    out = {raw, raw};
    return check_segments(raw);
  }
  CHECK(scratch.size() >= 2 * raw.size());
  char* canonical = scratch.data();
  char* decoded = scratch.data() + raw.size();
  std::size_t canonical_size = 0;
  std::size_t decoded_size = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '%') {
      if (!is_escape(raw.substr(i + 1))) return Fault::path_bad_escape;
      c = static_cast<char>(hex_value(raw[i + 1]) * 16 + hex_value(raw[i + 2]));
      i += 2;
      if (const Fault fault = fault_of_escaped(c); fault != Fault::none) return fault;
      if (!is_class(c, kUnreserved)) {
        const auto byte = static_cast<unsigned char>(c);
        canonical[canonical_size++] = '%';
        canonical[canonical_size++] = kUpperHex[byte >> 4];
        canonical[canonical_size++] = kUpperHex[byte & 15];
        decoded[decoded_size++] = c;
        continue;
      }
    }
    canonical[canonical_size++] = c;
    decoded[decoded_size++] = c;
  }
  out = {{canonical, canonical_size}, {decoded, decoded_size}};
  if (holds_escape(out.decoded)) return Fault::path_double_encoding;
  if (!is_utf8(out.decoded)) return Fault::path_non_ascii;
  return check_segments(out.decoded);
}

}  // namespace domicile::wire
