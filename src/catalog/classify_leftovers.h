// The last pass of classify(): tables from which nothing leads to an organization or a person. They are
// lists (with positive evidence), machinery (by name), or a question.
#pragma once

#include <vector>

#include "catalog/classify.h"

namespace domicile::catalog {

void classify_leftovers(const Graph& graph, const Root& root, const FactsByTable& facts,
                        std::vector<Verdict>& verdicts);

}  // namespace domicile::catalog
