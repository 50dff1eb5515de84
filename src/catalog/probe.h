// What the rows should be asked. propose() names the questions, store::read_facts() asks them on a
// bounded sample, and a second propose() takes the answers into account.
#pragma once

#include <string>
#include <vector>

#include "catalog/schema.h"

namespace domicile::catalog {

// From a table to its organization: along the steps, then the key column of the last table (of the
// table itself, when there are no steps). Steps carry their referenced columns.
struct Way {
  std::vector<PathStep> steps;
  std::string key;
  friend bool operator==(const Way&, const Way&) = default;
};
std::string to_string(const Way& way);  // "course_id -> public.courses, organization_id"

// A table whose rows point at the table in question, and how those rows reach their organization.
struct Use {
  QualifiedName by;
  PathStep step;
  Way way;
};

struct Probe {
  QualifiedName table;
  std::vector<Way> ways;  // the first is the proposed one, the others are compared with it
  // Where the key's values must be found: set when no foreign key says so already.
  std::optional<PathStep> root;
  std::vector<Use> uses;    // asks whether several organizations use the same row
  std::string type_column;  // of a polymorphic pair: asks for its values
  // Columns whose values may be keys of organizations, whatever their names; compared with `key_of`.
  std::vector<std::string> perhaps_keys;
  std::optional<PathStep> key_of;  // the organizations' table and its key column
  friend bool empty(const Probe& p) {
    return p.ways.empty() && p.uses.empty() && p.type_column.empty() && p.perhaps_keys.empty();
  }
};

}  // namespace domicile::catalog
