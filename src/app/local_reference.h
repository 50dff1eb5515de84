// The reference data of a local region that does not master it: it comes from the master region once
// both nodes run. `domicile up` says that the regions are there when it has come, because the rows of
// organizations refer to it.
#pragma once

#include <chrono>

#include "app/local_context.h"
#include "app/local_postgres.h"
#include "base/result.h"

namespace domicile::app {

// Waits until the region holds a copy and follows, for `at_most`. A region that does not get there is
// no error: it serves; what is wrong with it is said. An Error only when asked to stop.
Result<void> await_reference(LocalContext& context, const LocalRegion& region,
                             const LocalPostgres& server,
                             std::chrono::seconds at_most = std::chrono::seconds(60));

}  // namespace domicile::app
