// A reference table as one of the two sides has it: its columns by name. What crosses is text by column name, so both
// sides may order their columns differently; what they must agree on is tested before a row is applied.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "pg/connection.h"

namespace domicile::reference {

using catalog::QualifiedName;

struct ColumnShape {
  std::string name;
  std::string type;  // with its modifier: numeric(10,2)
  std::string cast;  // without: what text is cast to before it is stored
  std::uint32_t oid =
      0;  // the type's number in this database, and its modifier: not told to others
  std::int32_t modifier = -1;
  std::optional<std::string> default_value;  // an expression
  bool not_null = false;
  bool generated = false;  // by an expression: never travels
  std::string identity;    // "a" always, "d" by default, or none
  bool key = false;        // of the primary key
  bool refuse = false;     // a row where it is set stays in the master region

  friend bool operator==(const ColumnShape&, const ColumnShape&) = default;
};

struct TableShape {
  QualifiedName name;
  std::vector<ColumnShape> columns;

  const ColumnShape* find(std::string_view column) const;
  bool has_key() const;
  std::string columns_json() const;  // as domicile.reference_columns() gives them
};
using TableShapes = std::map<QualifiedName, TableShape>;

// The tables that may travel, as this database has them now: domicile.reference_columns().
Result<TableShapes> read_shapes(pg::Connection& connection);
Result<TableShape> parse_shape(const QualifiedName& name, std::string_view columns_json);

// Why rows with these columns cannot be stored in `own`, or "": a column that is not there, of another type, or that
// `own` needs and does not get.
std::string difference(const TableShape& own, const TableShape& source);

// Parents before children; tables in a cycle come in the order of their names.
Result<std::vector<QualifiedName>> parents_first(pg::Connection& connection,
                                                 const TableShapes& tables);

std::string quoted(const QualifiedName& name);

}  // namespace domicile::reference
