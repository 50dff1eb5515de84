// What a reviewer should know about a schema beyond the classes: oracles, views that see
// everything, links from shared rows into organization data, keys without an index.
#pragma once

#include "catalog/classify.h"
#include "catalog/propose.h"

namespace domicile::catalog {

std::vector<Finding> findings_of(const Schema& schema, const Graph& graph, const Root& root,
                                 const std::vector<Verdict>& verdicts, const FactsByTable& facts);

// The statement that adds the missing index.
std::string index_statement(const TableShape& table, const std::string& column);

}  // namespace domicile::catalog
