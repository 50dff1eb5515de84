// Who is asking, for a dry question: from an access token, or from what the command line says.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "domain/principal.h"
#include "domain/registry_snapshot.h"

namespace domicile::app {

struct TokenReading {
  Result<domain::Principal> principal;  // or why the door would refuse the token
  bool checked = false;                 // the signature was; else the claims are believed for once
  std::string keys;                     // where the issuer's keys came from, or why there are none
};
// Keys come from `jwks_file`, else from the issuer, if it is one of the snapshot's regions.
TokenReading read_token(const std::string& token, const domain::RegistrySnapshot& snapshot,
                        const std::filesystem::path& jwks_file,
                        const std::filesystem::path& ca_file, std::int64_t now_s);

struct SaidPrincipal {
  std::string user, organization, region;
  std::vector<std::string> roles, permissions;
  std::uint64_t epoch = 0;           // 0: the organization's present one
  std::filesystem::path roles_file;  // what the roles come to; empty: the built-in roles
};
Result<domain::Principal> make_principal(const SaidPrincipal& said,
                                         const domain::RegistrySnapshot& snapshot,
                                         std::int64_t now_s);

}  // namespace domicile::app
