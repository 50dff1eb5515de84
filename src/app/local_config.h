// What `domicile up` is asked to start: one TOML file, validated whole before anything happens.
// Every error is reported at once with its line and the remedy; unknown keys are errors. Paths are
// relative to the file's folder. docs/getting-started.md shows a file in use.
//
//   [application]
//   name = "learning"                     # also the database's name, and the prefix of its roles
//   schema = "schema.sql"                 # run once in each region, as the application's owner
//   prepare = ["/usr/bin/python3", "generate.py", "reference", "--dsn", "{dsn}"]  # once, after the
//   schema catalog = "domicile.catalog.toml" routes = "routes.toml" roles = "roles.toml" # optional
//   files = ["app.py"]                    # copied to where the application's user can read them
//   command = ["/usr/bin/gunicorn", "--bind", "127.0.0.1:{port}", "app:application"]
//   environment = { LEARNING_DSN = "{dsn}" }
//   health_path = "/healthz"              # optional: asked at the application itself
//   [users]                               # as root: who runs what (else all run as yourself)
//   postgresql = "postgres", node = "proxy", application = "www-data"
//   [region.ca-central-1]
//   jurisdiction = "CA", locations = ["ca-central-1"], master = true
//   external_issuers = "ca-providers.toml"                    # optional: app/external_issuers.h
//   door_port = 8441, application_port = 8541, postgresql_port = 5541     # optional: preferred
//   ports
//
// Placeholders: {port}, {region}, {master} ("true" in the region where reference data changes, so that
// `prepare` loads it there and nowhere else), {folder} (where `files` were copied), and {dsn}: a libpq
// connection string that names a password file, so that no password stands in an argument or the
// environment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "domain/placement.h"

namespace domicile::app {

struct LocalApplication {
  std::string name;
  std::filesystem::path schema;
  std::vector<std::string> prepare;  // empty: nothing to prepare
  std::filesystem::path catalog;
  std::filesystem::path routes;
  std::filesystem::path roles;  // empty: the built-in ones
  std::vector<std::filesystem::path> files;
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string health_path;
};

struct LocalRegion {
  domain::Region region;        // url is empty: the door's port is chosen at start
  std::uint16_t door_port = 0;  // 0: any
  std::uint16_t application_port = 0;
  std::uint16_t log_port = 0;
  std::uint16_t postgresql_port = 0;
  std::filesystem::path external_issuers;  // empty: no identity provider
  std::string alert_webhook;               // empty: nobody is told of alerts
};

struct LocalConfig {
  std::filesystem::path file;
  LocalApplication application;
  std::string postgresql_user = "postgres";
  std::string node_user = "proxy";
  std::string application_user = "www-data";
  std::vector<LocalRegion> regions;  // the master first, the others in the file's order

  const LocalRegion& master() const { return regions.front(); }
};

// Syntax and meaning only; touches no file.
Result<LocalConfig> parse_local_config(std::string_view text, const std::filesystem::path& file);
// Reads the file, and sees that every file it names is there.
Result<LocalConfig> load_local_config(const std::filesystem::path& file);

// Replaces {name} by its value; an unknown {name} stays as it is.
std::string fill_in(std::string text, const std::map<std::string, std::string>& values);

}  // namespace domicile::app
