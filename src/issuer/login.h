// The name that a person signs in with, unique within an organization.
#pragma once

#include <string>
#include <string_view>

namespace domicile::issuer {

// As it is stored and compared: 1 to 254 printable bytes without spaces, ASCII letters in lower case. "" when the text
// is none.
std::string canonical_login(std::string_view text);

}  // namespace domicile::issuer
