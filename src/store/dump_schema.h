// The application's schema as pg_dump prints it, without the guard: its CHECKs, triggers, policies,
// row security and grants come back with `region init`, from the catalog, on whatever server the
// dump is restored. What stays is the application's own, statement by statement.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::store {

struct PgDumpOptions {
  std::string program = "pg_dump";
  std::string dsn;       // goes to the program by its environment, never by its arguments
  std::string snapshot;  // of pg_export_snapshot()
  std::vector<std::string> schemas;  // patterns of pg_dump; empty: all but Domicile's
  std::vector<std::string> tables;
};

// Standard output of `pg_dump --schema-only --section=...`. Code::unavailable when the program is
// not there, Code::invalid with its words when it fails.
Result<std::string> run_pg_dump(const PgDumpOptions& options, std::string_view section);

// Tables that the guard switched row security on for, by schema.name, and what they had before:
// enabled, forced.
using FormerRowSecurity = std::map<std::string, std::pair<bool, bool>>;

struct BareSchema {
  std::string sql;
  std::vector<std::string> roles;  // that it names: owners and grantees
  std::size_t left_out = 0;        // statements and constraints of the guard
};
// Code::invalid when a statement cannot be read (the program is newer than our grammar).
Result<BareSchema> without_guard(std::string_view sql, const FormerRowSecurity& former);

}  // namespace domicile::store
