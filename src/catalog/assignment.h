// Which organization is to live in which region, before a registry knows: the plan of a migration.
//
//   # organization, region
//   7,ca-central-1
//   b2f6...,us-east-1
//
// One line each; comma, semicolon or tab between; blank lines and lines that begin with # say
// nothing; a first line of words that are no key of the type (organization,region) is a heading.
// The whole file is checked: all of its problems are listed in one Code::invalid.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "domain/names.h"

namespace domicile::catalog {

using Assignment = std::map<std::string, std::string>;  // organization's key -> region

Result<Assignment> parse_assignment(std::string_view text, domain::KeyType key_type,
                                    std::string_view filename);

}  // namespace domicile::catalog
