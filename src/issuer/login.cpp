#include "issuer/login.h"

namespace domicile::issuer {

std::string canonical_login(std::string_view text) {
  if (text.empty() || text.size() > 254) return {};
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 127) return {};
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

}  // namespace domicile::issuer
