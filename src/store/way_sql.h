// The SQL of a way from a table to its organization: left joins along its steps. Shared by those who
// ask rows questions (schema_facts, schema_sizes).
#pragma once

#include <string>

#include "catalog/probe.h"

namespace domicile::store {

struct Followed {
  std::string joins;
  std::string organization;      // an expression of type text
  std::string orphan = "false";  // a step points at nothing
  std::string missing;           // the key or a step is NULL, and nothing is orphaned
};

// From the rows aliased `base`; `prefix` keeps the aliases of several ways apart. The steps carry
// their referenced columns.
Followed follow(const catalog::Way& way, const std::string& base, const std::string& prefix);

}  // namespace domicile::store
