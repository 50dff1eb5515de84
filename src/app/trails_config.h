// The [trails] part of a node's file: other people's trails that become events of this log.
//
//   [trails]
//     postgresql_log = "/var/log/postgresql"    # jsonlog (15 and later) or csvlog; absent: none
//     postgresql_expected_logins = ["app_pool", "app_node"]    # sessions of others are events
//     postgresql_scan_every_s = 60              # how often the catalogs are looked at
//     cloudtrail = "cloudtrail"                 # a folder of log files (.json.gz); absent: none
#pragma once

#include <chrono>
#include <filesystem>
#include <set>
#include <string>

#include "app/toml_reader.h"

namespace domicile::app {

struct TrailsConfig {
  std::filesystem::path postgresql_log;  // empty: only catalogs, or nothing at all
  std::set<std::string> postgresql_expected_logins;
  std::chrono::seconds postgresql_scan_every{60};
  bool postgresql = false;           // anything of it is configured
  std::filesystem::path cloudtrail;  // empty: none
};

TrailsConfig read_trails(TomlReader& reader, const std::filesystem::path& folder);

}  // namespace domicile::app
