// Tables that reach their organization by a path of foreign keys: the function that reads it, and
// the EXISTS that row security asks. Internal to the guard's SQL.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "catalog/schema.h"

namespace domicile::store {

// A path with its gaps filled in: every column named, the key at its end.
struct ResolvedPath {
  struct Step {
    std::vector<std::string> columns;     // in the table before
    catalog::QualifiedName table;         // the parent
    std::vector<std::string> referenced;  // in the parent
  };
  std::vector<Step> steps;
  std::vector<std::string> argument_types;  // of the first step's columns
  std::string key;                          // in the last table: organization key, or person column
  bool shared = false;                      // the last table may have a NULL key
};

// Or why not.
struct PathProblem {
  std::string reason;
  std::string remedy;
};
std::optional<PathProblem> resolve_path(const catalog::Catalog& catalog,
                                        const catalog::Schema& schema, const catalog::Table& table,
                                        ResolvedPath& out);

std::string home_function_name(const ResolvedPath& path);
// CREATE OR REPLACE FUNCTION domicile.home_...(columns..., gone boolean): homed() of the parent's
// key. With `gone` a missing parent is no error: it went first, in the same cascade, through its
// own guard.
std::string home_function(const ResolvedPath& path, domain::KeyType type);
// The same that records and returns true, for mode observe: domicile.seen_...(columns..., spec), see
// domicile.observed() in sql/region/0003. Under SERIALIZABLE it does not read the
// parent, because that read could make the caller's transaction fail.
std::string seen_function_name(const ResolvedPath& path);
std::string seen_function(const ResolvedPath& path, domain::KeyType type);
// GRANT of just the columns that these functions read.
std::vector<std::string> path_grants(const ResolvedPath& path);
// SELECT of each row's organization as k; NULL where the path breaks off.
std::string path_keys(const ResolvedPath& path, const std::string& table);
// EXISTS (...) over the path from a row of `table` (quoted name) to `condition` on the last one,
// aliased `last`.
std::string path_exists(const ResolvedPath& path, const std::string& table,
                        const std::string& condition);

}  // namespace domicile::store
