// `scope` as clients send it (RFC 6749 section 3.3): permissions with single spaces between, and
// OpenID Connect's own words. `openid` asks for an ID token; profile, email, offline_access and the
// like are known and give nothing: nobody's data leaves by them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "domain/names.h"

namespace domicile::issuer {

struct Scope {
  std::vector<domain::Permission> permissions;  // sorted, without duplicates; empty: everything
  bool openid = false;
};

inline constexpr std::string_view kInvalidScope =
    "a scope is a list of permissions with single spaces between";

// nullopt: malformed, or more than 256 words.
std::optional<Scope> parse_scope(std::string_view text);

}  // namespace domicile::issuer
