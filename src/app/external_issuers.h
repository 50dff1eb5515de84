// Identity providers whose tokens this region exchanges for its own, from TOML:
//
//   [[issuer]]
//   issuer = "https://cognito-idp.ca-central-1.amazonaws.com/ca-central-1_AbC"   # `iss`, exactly
//   jwks_url = "https://cognito-idp.ca-central-1.amazonaws.com/ca-central-1_AbC/.well-known/jwks.json"
//   audiences = ["1example23456789"]     # `aud`; of Cognito's access tokens the client_id
//   organizations = ["7"]                # the keys it may speak for; ["*"] for all of this region
//   organization_claim = "custom:org"    # a name, or a JSON Pointer: "/tenant/id"
//   roles_claim = "cognito:groups"       # optional; an array, or text with spaces
//   subject_claim = "sub"                # optional
//   [issuer.roles]                       # their groups -> our roles; others give nothing
//   Teachers = "instructor"
//
// Every error is reported at once with its line; unknown keys are errors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "token/external_token.h"

namespace domicile::app {

Result<std::vector<token::ExternalIssuer>> parse_external_issuers(std::string_view text,
                                                                  const std::string& name);
// An empty path: none.
Result<std::vector<token::ExternalIssuer>> load_external_issuers(const std::filesystem::path& file);

}  // namespace domicile::app
