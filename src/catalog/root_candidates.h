// Which tables may list the organizations, from how the schema is built as much as from names: much
// hangs on such a table, it hangs on nothing but lists, numbers are counted within it, those who sign
// in belong to it. People name it in every language and trade; what hangs on it looks alike.
#pragma once

#include <vector>

#include "catalog/root.h"

namespace domicile::catalog {

// Best first. Pure and deterministic.
std::vector<RootCandidate> root_candidates(const Graph& graph);

// A table that looks like a list by its columns: little else than a code, a name and an order. Weak:
// good enough to say that a country is not the owner of the organizations in it.
bool list_like(const Graph& graph, std::size_t table);

}  // namespace domicile::catalog
