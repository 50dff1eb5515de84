// Part of the noun `region`: observe, enforce and off, table by table.
#pragma once

#include <string>
#include <vector>

#include "app/cli.h"
#include "app/region_login.h"
#include "catalog/catalog.h"

namespace domicile::app {

struct ModeRequest {
  RegionLogin login;
  std::string catalog = "domicile.catalog.toml";
  std::vector<std::string> tables;
  bool all = false;
  bool dry_run = false;
  bool no_edit = false;
  bool report = false;  // observe only
  bool anew = false;    // observe only
  bool anyway = false;  // enforce only
  bool no_validate = false;
  bool keep_temporary = false;
  int lock_timeout_ms = 2'000;
  int attempts = 5;
};
// Edits the file, then the database; the exit code.
Result<int> change_mode(const Cli& cli, const ModeRequest& request, catalog::Mode mode);

void add_region_mode(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
