// The reasoning behind propose(): one verdict per table, found in passes from strong evidence to
// weak.
#pragma once

#include <optional>
#include <vector>

#include "catalog/graph.h"
#include "catalog/root.h"

namespace domicile::catalog {

struct Verdict {
  bool done = false;
  bool decided = false;  // by a person: nothing here may change it
  TableClass table_class = TableClass::system;
  Confidence confidence = Confidence::unsure;
  std::optional<Way> way;   // to the organization; its steps are empty for a key of its own
  std::vector<Way> others;  // that lead to an organization as well
  std::optional<Way> ask;   // a key that may be NULL: whether it is, decides; the rows should tell
  std::string person;       // the column that names the user
  std::vector<PathStep> person_path;
  bool undeclared_key = false;  // the key column has no foreign key to the root
  double cost = 0;
  std::vector<std::string> why;

  bool of_organization() const {
    return done && (table_class == TableClass::organization || table_class == TableClass::mixed);
  }
};

// Verdicts by the table's place in the graph. `existing` may be null.
// The facts about a table, when they speak of this very way; else null.
const Facts* facts_along(const FactsByTable& facts, const QualifiedName& table, const Way& way);

std::vector<Verdict> classify(const Graph& graph, const Root& root, const FactsByTable& facts,
                              const Catalog* existing);

// What speaks for and against a table's rows being the same in every region.
struct ReferenceEvidence {
  int score = 0;
  std::vector<std::string> why;
};
ReferenceEvidence reference_evidence(const Graph& graph, const Root& root, std::size_t table,
                                     const std::vector<Verdict>& verdicts,
                                     const FactsByTable& facts);

}  // namespace domicile::catalog
