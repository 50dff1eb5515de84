// How the newer region verbs name their database: --dsn, --dsn-file, or DOMICILE_DSN.
#pragma once

#include <functional>
#include <string>

#include "app/cli.h"
#include "pg/connection.h"

namespace domicile::app {

struct RegionLogin {
  std::string dsn;
  std::string dsn_file;
};

void add_login(CLI::App& verb, RegionLogin& login);
// Code::invalid when it is named twice or not at all.
Result<pg::Connection> open_region(const RegionLogin& login);
// Refuses a database that is no region yet, or none of this region's schema version.
Result<void> require_region(pg::Connection& connection);
// For verbs that may be run again when the database went away in the middle: the error says so.
Result<int> goes_on(Result<int> done);
// One line each on standard error, or nothing with --quiet.
std::function<void(const std::string&)> progress_of(const Cli& cli);

}  // namespace domicile::app
