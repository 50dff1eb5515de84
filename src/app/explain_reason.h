// What a refusal's reason means and what helps: one entry for every stable reason code that the door
// and the issuer give (docs/gateway.md, docs/routes.md, docs/identity.md).
#pragma once

#include <span>
#include <string_view>

namespace domicile::app {

struct ExplainedReason {
  std::string_view reason;
  std::string_view meaning;
  std::string_view remedy;
};

// nullptr: no such reason.
const ExplainedReason* explain_reason(std::string_view reason);
std::span<const ExplainedReason> explained_reasons();

}  // namespace domicile::app
