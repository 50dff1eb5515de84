// The claims of Domicile's own access tokens, once the signature is known to hold: payload to
// Principal. The issuer and its region are already decided; here they must agree. External issuers
// will bring a mapping of their own beside this one.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "domain/principal.h"

namespace simdjson::dom {
class object;
}

namespace domicile::token {

struct ClaimRules {
  std::string_view audience;
  const domain::RegionId& region;
  std::int64_t skew_s;
  std::int64_t lifetime_max_s;
  std::int64_t now_s;
};

// Expired means now >= exp + skew; the cache asks the same question.
constexpr bool expired(std::int64_t exp, std::int64_t now_s, std::int64_t skew_s) {
  return now_s >= exp + skew_s;
}

Result<domain::Principal> read_claims(const simdjson::dom::object& claims, const ClaimRules& rules);

}  // namespace domicile::token
