// What a replica region's table lacks of the master's, and which of it can be added without a person:
// columns that hold, in every row that is there already, what they hold in the master region. That is
// so for a column that may be NULL and has no default, and for a constant default; anything else is
// refused with what a person has to do. Pure functions; nothing is ever dropped or made narrower.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reference/table_shape.h"

namespace domicile::reference {

struct SchemaAddition {
  QualifiedName table;
  std::string column;
  std::string sql;
};

struct SchemaRefusal {
  std::string place;  // "app.seat, column colour"
  std::string reason;
  std::string remedy;
};

struct SchemaPlan {
  std::vector<SchemaAddition> additions;
  std::vector<SchemaRefusal> refusals;
  bool empty() const { return additions.empty() && refusals.empty(); }
};

// Does this database have the type, written as format_type() writes it?
using TypeKnown = std::function<bool(const std::string& type)>;

// `source` holds the master's tables as they were seen last; Domicile's own are left out.
SchemaPlan plan_schema(const TableShapes& own, const TableShapes& source, const TypeKnown& known);

// Is a default's expression, as PostgreSQL prints it, the same value whenever it is asked: a literal,
// a cast of one, a number, a truth value? Function calls are not, whichever they are.
bool constant_default(std::string_view expression);

}  // namespace domicile::reference
