// The region's roles, from TOML: what each role may do in the organization of whoever has it.
//
//   [roles]
//   instructor = ["courses:read", "courses:write"]
//   learner = ["courses:read"]
//
// Every error is reported at once with its line; unknown keys are errors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "issuer/roles.h"

namespace domicile::app {

Result<issuer::RoleBook> parse_roles_file(std::string_view text, const std::string& name);
// An empty path: the built-in roles.
Result<issuer::RoleBook> load_roles_file(const std::filesystem::path& file);

}  // namespace domicile::app
