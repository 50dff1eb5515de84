// Finds the table of those who sign in.
#pragma once

#include "catalog/classify.h"

namespace domicile::catalog {

// npos when there is none. Told by its name and its credentials; in any language, by its place: a
// join table lets many organizations have many of its rows, and those rows hold personal data.
std::size_t find_users(const Graph& graph, const Root& root, const std::vector<Verdict>& verdicts);

}  // namespace domicile::catalog
