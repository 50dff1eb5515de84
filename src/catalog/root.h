// Finds the table whose rows are the organizations, and the columns that name an organization
// elsewhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/graph.h"

namespace domicile::catalog {

struct RootCandidate {
  std::size_t table = Graph::npos;
  double score = 0;
  std::vector<std::string> why;
};

struct Root {
  std::size_t table = Graph::npos;   // npos: no table; rows carry a key that no table lists
  std::string key;                   // the root's key column; "" without a table
  std::vector<std::string> columns;  // names of key columns in other tables, the usual one first
  std::string type;                  // of the key
  Confidence confidence = Confidence::unsure;
  std::vector<std::string> why;
  std::vector<RootCandidate> others;  // that could be meant as well
  bool found() const { return table != Graph::npos || !columns.empty(); }
};

// `decided` and `decided_column` are what a person or an earlier scan has said; empty otherwise.
// `firm`: it was a person, so nothing else is weighed.
Root find_root(const Graph& graph, const std::optional<QualifiedName>& decided, bool firm,
               const std::string& decided_column);

}  // namespace domicile::catalog
