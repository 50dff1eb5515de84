#include "app/trails_config.h"

namespace domicile::app {

TrailsConfig read_trails(TomlReader& reader, const std::filesystem::path& folder) {
  TrailsConfig config;
  if (const auto log = reader.text("trails.postgresql_log")) config.postgresql_log = folder / *log;
  for (std::string& login : reader.texts("trails.postgresql_expected_logins")) {
    config.postgresql_expected_logins.insert(std::move(login));
  }
  const auto every = reader.integer("trails.postgresql_scan_every_s", 1, 86'400);
  if (every) config.postgresql_scan_every = std::chrono::seconds(*every);
  config.postgresql =
      every || !config.postgresql_log.empty() || !config.postgresql_expected_logins.empty();
  if (config.postgresql && config.postgresql_expected_logins.empty()) {
    reader.error("trails",
                 "needs postgresql_expected_logins: every session would be one past the gateway; "
                 "name the application's logins and the node's own");
  }
  if (const auto files = reader.text("trails.cloudtrail")) config.cloudtrail = folder / *files;
  return config;
}

}  // namespace domicile::app
