// The logs of local regions vouch for each other: the keys that sign each region's log and those by
// which its node witnesses the others, made before the first start so that each side knows the
// other's, and the files that say so to the nodes and to whoever verifies.
#pragma once

#include <string>

#include "app/local_context.h"
#include "base/result.h"

namespace domicile::app {

// Writes `witnesses.policy` (where there is another region) and `logs.keys` beside each node's file.
// Needs the doors' ports.
Result<void> make_witnesses(LocalContext& context);
// The lines of the node's file, in [audit].
std::string witness_lines(const LocalContext& context);

}  // namespace domicile::app
