// Takes Domicile off a database: every table gets back what it was (sql/region/0301_former.sql), then
// the database's own privileges, then Domicile's schemas go. Short transactions under a lock
// timeout, table by table; a run that was interrupted anywhere is run again. Roles belong to the
// whole server: they go only on request, and only those that nothing depends on.
//
// Refused before anything changes: objects of the application that use Domicile's functions, and
// user accounts in Domicile's directory, which would go with its schema (unless said).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "pg/connection.h"

namespace domicile::store {

struct DetachOptions {
  std::string confirm;  // the region's name
  bool drop_roles = false;
  bool discard_directory = false;  // user accounts, clients, grants of the built-in issuer
  bool dry_run = false;
  std::chrono::milliseconds lock_timeout{2'000};
  int attempts = 5;
  std::function<void(const std::string&)> progress;  // may be empty
};

struct DetachStep {
  std::string what;  // a table's name, "database", "schemas", "roles"
  std::vector<std::string> sql;
  bool done = false;
  std::string blocked_by;  // locked by others for too long: run again
};

struct DetachReport {
  std::string region;
  std::vector<DetachStep> steps;
  std::vector<std::string> kept;  // what stays, and why
  bool blocked() const;
};

Result<DetachReport> detach_region(pg::Connection& connection, const DetachOptions& options);

}  // namespace domicile::store
