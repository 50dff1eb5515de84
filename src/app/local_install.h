// Domicile in a local region: what an operator does with `domicile region init`, `domicile region
// add` and `domicile region reconcile`, done by the same program with the same verbs, as the
// installer role.
#pragma once

#include <vector>

#include "app/local_context.h"
#include "app/local_postgres.h"
#include "base/result.h"

namespace domicile::app {

// The guard, from the catalog; and the pool's and the node's memberships.
Result<void> install_domicile(LocalContext& context, const LocalRegion& region,
                              const LocalPostgres& server);
// The registry in the master region, with all regions in it.
Result<void> install_registry(LocalContext& context, const LocalPostgres& master);
// Opens a region that has never been opened: its database agrees with the registry. A region that
// closed itself since (after a restore, say) stays closed until an operator runs `domicile region
// reconcile`.
Result<void> open_region(LocalContext& context, const LocalRegion& region,
                         const LocalPostgres& server, const LocalPostgres& master);

// checks.toml in the data folder: what `domicile check` expects of these regions.
Result<void> write_checks_file(LocalContext& context, const std::vector<LocalPostgres>& servers);

}  // namespace domicile::app
