// Sets the registry up in a database of its own, in the master region: schema, jurisdictions, regions,
// who may read and write. Idempotent; a file with more regions than before adds them.
#pragma once

#include <string>
#include <vector>

#include "pg/connection.h"
#include "registry/registry_file.h"

namespace domicile::registry {

struct InstallOptions {
  RegistryFile file;
  std::vector<std::string> readers;  // database roles to make members of domicile_registry_reader
  std::vector<std::string> writers;  // and of domicile_registry_writer
  bool dry_run = false;
};

struct InstallReport {
  std::vector<std::string> done;  // one line each: what was done, or with dry_run would be
};

// `connection`: as the owner of the registry's database, with CREATEROLE.
Result<InstallReport> install_registry(pg::Connection& connection, const InstallOptions& options);

}  // namespace domicile::registry
