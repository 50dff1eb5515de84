#include "app/region_login.h"

#include <fmt/format.h>

#include "app/dsn_option.h"

namespace domicile::app {

void add_login(CLI::App& verb, RegionLogin& login) {
  verb.add_option("--dsn", login.dsn,
                  "The region's database (a password belongs in --dsn-file or the environment)");
  verb.add_option("--dsn-file", login.dsn_file,
                  "File with the connection string, readable by you alone");
}

Result<pg::Connection> open_region(const RegionLogin& login) {
  return pg::Connection::open(TRY(database_dsn(login.dsn, login.dsn_file)));
}

Result<void> require_region(pg::Connection& connection) {
  auto rows =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile.region') IS NOT NULL, "
                           "pg_catalog.to_regclass('domicile.observing') IS NOT NULL"));
  if (!rows.boolean(0, 0))
    return fail(Code::invalid,
                "this database is no region yet; run `domicile region init` first (with "
                "default_mode = \"off\" in the catalog it touches no table)",
                "no_region");
  if (!rows.boolean(0, 1))
    return fail(Code::invalid,
                "this region was installed by an older Domicile; run `domicile region init` again",
                "old_region");
  return {};
}

Result<int> goes_on(Result<int> done) {
  if (!done && done.error().code == Code::unavailable &&
      !done.error().message.contains("run the same command again"))
    done.error().message += "; what was finished stays: run the same command again, and it goes on";
  return done;
}

std::function<void(const std::string&)> progress_of(const Cli& cli) {
  if (cli.quiet) return {};
  return [](const std::string& line) { fmt::print(stderr, "  {}\n", line); };
}

}  // namespace domicile::app
