// The first and strongest pass of classify(): tables whose rows carry the organization's key
// themselves.
#pragma once

#include <vector>

#include "catalog/classify.h"

namespace domicile::catalog {

// Settles the root and every table with a key column of its own. `users`: the place of the table of
// those who sign in, or npos.
void classify_by_keys(const Graph& graph, const Root& root, const FactsByTable& facts,
                      std::size_t users, std::vector<Verdict>& verdicts);

}  // namespace domicile::catalog
