// Brings a region's tables to what the catalog says: CHECK and triggers, row security, grants. One
// short transaction a table, under a lock timeout with retries, so that the application never
// queues behind us for long; interrupted anywhere, the next run goes on. What is already right is
// not touched.
//
// Everything is looked at before anything changes: a catalog that does not fit, a table that the
// installer does not own or that has policies of its own (policies are joined by OR) refuses the
// whole run.
//
// CHECKs come NOT VALID: new rows are guarded at once, old ones after validate_guards().
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "pg/connection.h"
#include "store/guard_sql.h"

namespace domicile::store {

struct ApplyOptions {
  bool dry_run = false;
  std::chrono::milliseconds lock_timeout{2'000};
  int attempts = 5;
  std::chrono::milliseconds pause{500};                  // between attempts
  std::int64_t validate_below_bytes = 32 << 20;          // smaller tables are validated at once
  std::optional<std::set<catalog::QualifiedName>> only;  // other tables are left as they are
  std::function<void(const std::string&)> progress;      // may be empty
};

struct TableOutcome {
  enum class State { unchanged, changed, planned, blocked };
  catalog::QualifiedName table;
  State state = State::unchanged;
  std::vector<std::string> sql;    // what ran, or would run
  std::vector<std::string> notes;  // proposals and limits
  std::string blocked_by;          // the error of the last attempt
};

struct ApplyPlan {
  std::vector<TableGuard> guards;  // paths after keyed tables
};

// Looks only; changes nothing.
Result<ApplyPlan> prepare_catalog(pg::Connection& connection, const catalog::Catalog& catalog);
Result<std::vector<TableOutcome>> apply_catalog(pg::Connection& connection, const ApplyPlan& plan,
                                                const ApplyOptions& options);

struct ValidateOutcome {
  std::string table;
  bool valid = false;
  std::string problem;  // why not: rows of organizations that are not homed here, or a lock
};
// VALIDATE CONSTRAINT for every guard that is not yet. Reads each table once, blocks no reader or
// writer.
// `only`: these tables; empty: all of them.
Result<std::vector<ValidateOutcome>> validate_guards(
    pg::Connection& connection, const std::function<void(const std::string&)>& progress,
    const std::set<catalog::QualifiedName>& only = {});

}  // namespace domicile::store
