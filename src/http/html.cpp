#include "http/html.h"

namespace domicile::http {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// U+200B..200F, U+2028..202E, U+2060..206F, U+FEFF.
bool invisible(std::string_view at) {
  if (at.starts_with("\xef\xbb\xbf")) return true;
  if (at.size() < 3 || at[0] != '\xe2') return false;
  const auto second = static_cast<unsigned char>(at[1]);
  const auto third = static_cast<unsigned char>(at[2]);
  if (second == 0x80) return (third >= 0x8b && third <= 0x8f) || (third >= 0xa8 && third <= 0xae);
  return second == 0x81 && third >= 0xa0 && third <= 0xaf;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (invisible(text.substr(i))) {
      out += kReplacement;
      i += 2;
      continue;
    }
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          out += kReplacement;
        else
          out.push_back(c);
    }
  }
  return out;
}

std::string shortened(std::string_view text, std::size_t characters_max) {
  std::size_t characters = 0;
  std::size_t fits = 0;  // bytes of the first characters_max - 1 characters
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (continues(text[i])) continue;
    if (characters + 1 == characters_max) fits = i;
    if (++characters > characters_max) return std::string(text.substr(0, fits)) + "\xe2\x80\xa6";
  }
  return std::string(text);
}

}  // namespace domicile::http
