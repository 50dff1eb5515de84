// Our own schema, step by step. sql/<set>/NNNN_name.sql are compiled into the binary; a step runs
// in one transaction together with the row that records it, so an interrupted run leaves whole
// steps only and the next run goes on. Two runs at once wait for each other (an advisory lock
// inside each transaction, so that it works through a transaction pooler too).
//
// A step's text is fixed once it is released: the recorded SHA-256 of the raw text (placeholders
// not yet replaced) must agree, else the run is refused before anything changes. `{{name}}` is
// replaced from `values`; a placeholder without a value is our own bug and refused. A step that
// must create objects for another owner writes SET LOCAL ROLE itself; the runner resets the role
// before it records the step.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::store {

struct MigrationStep {
  int version = 0;
  std::string name;    // "guard" of 0001_guard.sql
  std::string sha256;  // lower-case hex, of the raw text
  std::string sql;     // placeholders replaced
};

struct MigrationOptions {
  std::string set;     // "region", "control": the folder under sql/
  std::string schema;  // holds the ledger table <schema>.migration; created if absent
  std::map<std::string, std::string>
      values;     // for {{placeholders}}; quoted by the caller where needed
  int first = 1;  // only steps within [first, last]
  int last = 9999;
  std::string
      prologue;  // SQL that opens every step's transaction, and that closes it; may be empty
  std::string epilogue;
  bool dry_run = false;  // nothing changes; `pending` of the report says what would run
  std::chrono::milliseconds lock_timeout{10'000};
  std::function<void(const MigrationStep&)>
      on_step;  // before a step runs; for progress. May be empty
};

struct MigrationReport {
  std::vector<MigrationStep> pending;  // not applied before this run, in order
  int applied = 0;                     // how many this run applied
  int already = 0;                     // how many were there
};

// The steps of a set, sorted by version. Code::internal for a bad file name, a version given twice
// or a placeholder without a value.
Result<std::vector<MigrationStep>> migration_steps(const MigrationOptions& options);

// Replaces {{name}}; shared with the statements that are generated per table.
Result<std::string> fill_placeholders(std::string_view text,
                                      const std::map<std::string, std::string>& values);

// Code::conflict when an applied step was changed, when the database has a step that this binary
// does not know (a newer Domicile was here), or when another run holds the lock past the timeout.
Result<MigrationReport> migrate(pg::Connection& connection, const MigrationOptions& options);

}  // namespace domicile::store
