#include "catalog/schema.h"

#include <algorithm>

namespace domicile::catalog {

const Column* TableShape::column(std::string_view column_name) const {
  const auto at = std::ranges::find(columns, column_name, &Column::name);
  return at == columns.end() ? nullptr : &*at;
}

const Index* TableShape::primary_key() const {
  const auto at = std::ranges::find(indexes, true, &Index::primary);
  return at == indexes.end() ? nullptr : &*at;
}

const TableShape* Schema::find(const QualifiedName& name) const {
  const auto at = std::ranges::lower_bound(tables, name, {}, &TableShape::name);
  return at != tables.end() && at->name == name ? &*at : nullptr;
}

std::vector<const TableShape*> Schema::classifiable() const {
  std::vector<const TableShape*> out;
  for (const TableShape& table : tables) {
    if (table.relation == Relation::partition || table.relation == Relation::view) continue;
    if (table.extension.empty()) out.push_back(&table);
  }
  return out;
}

}  // namespace domicile::catalog
