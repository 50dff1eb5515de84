// Makes a database a region: checks the ground, runs the guard's migrations, says what the region
// is, brings the tables to the catalog. The steps are idempotent; a run that was interrupted goes
// on with the next one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "domain/names.h"
#include "store/catalog_apply.h"
#include "store/migrations.h"

namespace domicile::store {

struct InstallOptions {
  domain::RegionId region;
  bool master = false;                  // may reference data change here?
  std::vector<std::string> app_roles;   // become members of domicile_app
  std::vector<std::string> node_roles;  // become members of domicile_node
  // Logins of the node for reference data: become members of domicile_publisher in the master
  // region, of domicile_reference elsewhere.
  std::vector<std::string> reference_roles;
  bool accept_findings =
      false;  // take what violations() would refuse as known (done at the first run anyway)
  pg::Connection* superuser = nullptr;  // for event triggers where the installer may not make them
  bool allow_old_server = false;
  bool keep_temporary = false;  // let every role make temporary tables, as before
  ApplyOptions apply;
};

struct Finding {
  std::string kind;
  std::string object;
  std::string detail;
  bool refuse =
      false;  // the DDL assertion does not let it come into being; else it is reported only
  bool known = false;  // there when the region was adopted, or accepted since
};

struct InstallReport {
  bool first = false;  // the region did not exist before
  MigrationReport migrations;
  std::vector<TableOutcome> tables;
  std::vector<std::string> granted;      // memberships this run gave
  std::vector<std::string> publication;  // statements that brought it to the catalog
  std::vector<std::string> publication_notes;
  bool event_triggers = false;
  std::string event_triggers_missing;  // why not
  std::vector<Finding> findings;       // empty in a dry run of a new region
  bool changed() const;                // did, or would, this run change anything?
  bool blocked() const;                // some tables could not be locked in time: run again
};

Result<InstallReport> install_region(pg::Connection& connection, const catalog::Catalog& catalog,
                                     const InstallOptions& options);

// domicile.violations(), whole.
Result<std::vector<Finding>> region_findings(pg::Connection& connection);

}  // namespace domicile::store
