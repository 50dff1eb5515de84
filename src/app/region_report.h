// What the region verbs print: text for people, JSON for machines.
#pragma once

#include <string>
#include <vector>

#include "store/catalog_apply.h"
#include "store/region_install.h"
#include "store/region_store.h"

namespace domicile::app {

std::string install_text(const store::InstallReport& report, bool dry_run);
std::string install_json(const store::InstallReport& report, bool dry_run);
std::string reconcile_text(const std::vector<store::PlacementChange>& changes,
                           const store::RegionStatus& before, bool dry_run);
std::string reconcile_json(const std::vector<store::PlacementChange>& changes,
                           const store::RegionStatus& before, bool dry_run);
std::string status_text(const store::RegionStatus& status);
std::string status_json(const store::RegionStatus& status);
std::string findings_text(const std::vector<store::Finding>& findings);
std::string findings_json(const std::vector<store::Finding>& findings);
std::string validate_text(const std::vector<store::ValidateOutcome>& outcomes);
std::string validate_json(const std::vector<store::ValidateOutcome>& outcomes);

// Two connections must lead to one database; the identifiers of server and database are compared.
Result<void> same_database(pg::Connection& one, pg::Connection& other);

}  // namespace domicile::app
