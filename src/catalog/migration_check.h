// Says what a guarded region would do with migrations that have not run yet: which statements it
// refuses, which tables would be born closed, what it would report. Needs no database: it follows
// the schema statement by statement, beginning with the catalog's tables, and judges each as
// sql/region/0005-0007 and 0303 would. tests/system/test_migrations_agree.py holds the verdicts against a
// real region.
//
// What it assumes: the migration runs as the owner of the tables (not a superuser), without an
// organization entered, in a region that is not the master; the tables hold rows; `region init` has
// run after each earlier migration; every branch of a DO block, and of a function of these migrations that
// one of their statements calls, is reached. What it cannot see it says: what EXECUTE puts together,
// other languages, functions and procedures that stand elsewhere.
//
// Pure and single-threaded; runs the parser on a large stack of its own.
#pragma once

#include <string>
#include <vector>

#include "catalog/migration_files.h"
#include "catalog/propose.h"

namespace domicile::catalog {

enum class Outcome {
  refused,   // the guard raises an error, and the transaction is gone
  fails,     // PostgreSQL itself raises one, because of what the guard put there
  closed,    // runs; leaves a table that no tenant can read
  reported,  // runs; `domicile region violations` lists it
  advice,    // runs
};
std::string_view to_string(Outcome outcome);

struct MigrationFinding {
  Severity severity = Severity::note;
  Outcome outcome = Outcome::advice;
  std::string kind;  // stable, listed in docs/migrations.md
  std::string path;
  std::size_t line = 0;
  std::string object;  // "app.course"; "" when there is none
  std::string message;
  std::string remedy;
  friend bool operator==(const MigrationFinding&, const MigrationFinding&) = default;
};

struct MigrationCheckOptions {
  std::string owner;  // of the tables: OWNER TO it changes nothing; "": not known
  std::string since;  // path or its last part: only later migrations are judged
  std::vector<std::string> search_path;  // for unqualified names; empty: the catalog's own schema
};

struct MigrationReport {
  std::vector<MigrationFinding> findings;  // in the order of the migrations
  std::size_t migrations = 0;              // judged
  std::size_t statements = 0;              // judged
};

// Code::invalid when `since` names no migration.
Result<MigrationReport> check_migrations(const Catalog& catalog, const MigrationSet& set,
                                         const MigrationCheckOptions& options = {});

}  // namespace domicile::catalog
