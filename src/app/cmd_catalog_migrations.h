// domicile catalog check --migrations PATH: judges migrations before they run, without a database.
#pragma once

#include <string>
#include <vector>

#include "app/cli.h"
#include "catalog/catalog.h"

namespace domicile::app {

struct MigrationOptions {
  std::vector<std::string> paths;  // folders and files
  std::string since;
  std::string owner;
  std::vector<std::string> search_path;
  std::vector<std::string> placeholders;  // name=value
  bool no_transaction = false;
  std::string format = "text";  // text, github, sarif
};

void add_migration_options(CLI::App& verb, MigrationOptions& options);

// 0: nothing is refused; 1: something is (with `strict`: or is reported); Code::invalid: nothing to
// read there.
Result<int> check_migrations(const catalog::Catalog& catalog, const MigrationOptions& options,
                             bool strict, const Cli& cli);

}  // namespace domicile::app
