// Which columns a statement compares with each other: `JOIN firms f ON f.no = j.own_co` says that
// own_co names a firm, whatever it is called and although no foreign key says so. Views and functions
// are full of such sentences.
//
// Only plain equalities between columns of two tables of the schema count, in ON, WHERE and USING,
// also in subqueries. A name that could mean several tables means none. Text that does not parse, or
// is not SQL, has no joins: this is evidence, not a compiler.
#pragma once

#include <string>
#include <vector>

#include "catalog/schema.h"

namespace domicile::catalog {

struct SqlText {
  std::string where;  // said in each result
  std::string text;   // a statement or more, or a CREATE FUNCTION ... LANGUAGE plpgsql
};

// Tables without a schema in the text are found by their name when it is unique in `schema`. Sorted.
std::vector<JoinSeen> joins_in(const std::vector<SqlText>& texts, const Schema& schema);

}  // namespace domicile::catalog
