// Takes single tables from one mode to another: the rest of the database stays as it was recorded,
// whatever the catalog file says about it. What stands in the way of enforcement is looked for
// first: rows of organizations that are not homed here, rows of nobody, and what observation saw.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "pg/connection.h"
#include "store/catalog_apply.h"

namespace domicile::store {

// The catalog with the modes that the database has now; tables it never saw are off.
Result<catalog::Catalog> as_recorded(pg::Connection& connection, const catalog::Catalog& catalog);

struct Strangers {  // rows that the guard would not let in today
  catalog::QualifiedName table;
  std::string organization;  // "" : no organization, or no parent
  std::int64_t rows = 0;
};

struct ModeChange {
  ApplyPlan plan;
  std::set<catalog::QualifiedName> touched;  // the chosen tables, and those that follow from them
  std::vector<Strangers> strangers;          // at most 20 a table, the largest first
  std::map<catalog::QualifiedName, std::int64_t> refused_lately;  // statements, last 24 hours
};

// Looks only. `wanted` is the catalog with the new modes of `chosen` (see as_recorded). Reads each
// chosen table once when the mode is enforce.
Result<ModeChange> prepare_mode(pg::Connection& connection, const catalog::Catalog& wanted,
                                const std::set<catalog::QualifiedName>& chosen, catalog::Mode mode);

// Starts the observation of tables anew: what was recorded is forgotten.
Result<void> observe_anew(pg::Connection& connection,
                          const std::set<catalog::QualifiedName>& tables);

}  // namespace domicile::store
