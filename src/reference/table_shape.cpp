#include "reference/table_shape.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::reference {

using nlohmann::json;

const ColumnShape* TableShape::find(std::string_view column) const {
  const auto found = std::ranges::find(columns, column, &ColumnShape::name);
  return found == columns.end() ? nullptr : &*found;
}

bool TableShape::has_key() const { return std::ranges::any_of(columns, &ColumnShape::key); }

std::string TableShape::columns_json() const {
  json out = json::array();
  for (const ColumnShape& column : columns) {
    out.push_back({{"name", column.name},
                   {"type", column.type},
                   {"cast", column.cast},
                   {"not_null", column.not_null},
                   {"default", column.default_value ? json(*column.default_value) : json()},
                   {"generated", column.generated},
                   {"identity", column.identity},
                   {"key", column.key},
                   {"refuse", column.refuse}});
  }
  return out.dump();
}

Result<TableShape> parse_shape(const QualifiedName& name, std::string_view columns_json) {
  const json columns = json::parse(columns_json, nullptr, false);
  const auto malformed = [&] {
    return fail(Code::invalid, fmt::format("the columns of {} cannot be read", to_string(name)),
                "shape_malformed");
  };
  if (!columns.is_array()) return malformed();
  TableShape shape{.name = name, .columns = {}};
  for (const json& column : columns) {
    const auto text = [&](const char* key) -> std::optional<std::string> {
      const auto found = column.find(key);
      if (found == column.end() || !found->is_string()) return std::nullopt;
      return found->get<std::string>();
    };
    const auto number = [&](const char* key, auto otherwise) {
      const auto found = column.find(key);
      return found != column.end() && found->is_number_integer() ? found->get<decltype(otherwise)>()
                                                                 : otherwise;
    };
    const auto flag = [&](const char* key) { return column.value(key, json()) == true; };
    if (!column.is_object() || !text("name") || !text("type") || !text("cast")) return malformed();
    shape.columns.push_back({.name = *text("name"),
                             .type = *text("type"),
                             .cast = *text("cast"),
                             .oid = number("oid", std::uint32_t{0}),
                             .modifier = number("modifier", std::int32_t{-1}),
                             .default_value = text("default"),
                             .not_null = flag("not_null"),
                             .generated = flag("generated"),
                             .identity = text("identity").value_or(""),
                             .key = flag("key"),
                             .refuse = flag("refuse")});
  }
  return shape;
}

Result<TableShapes> read_shapes(pg::Connection& connection) {
  TableShapes shapes;
  const auto rows = TRY(connection.query(
      "SELECT schema_name, table_name, columns FROM domicile.reference_columns()"));
  for (int i = 0; i < rows.size(); ++i) {
    const QualifiedName name{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))};
    shapes[name] = TRY(parse_shape(name, rows.text(i, 2)));
  }
  return shapes;
}

std::string difference(const TableShape& own, const TableShape& source) {
  for (const ColumnShape& column : source.columns) {
    if (column.generated) continue;
    const ColumnShape* mine = own.find(column.name);
    if (mine == nullptr) return fmt::format("column {} ({}) is not here", column.name, column.type);
    if (mine->generated)
      return fmt::format("column {} is generated here and not in the master region", column.name);
    if (mine->type != column.type) {
      return fmt::format("column {} is {} here and {} in the master region", column.name,
                         mine->type, column.type);
    }
    if (mine->key != column.key)
      return fmt::format("column {} is part of the primary key on one side only", column.name);
  }
  for (const ColumnShape& mine : own.columns) {
    const ColumnShape* theirs = source.find(mine.name);
    if (theirs != nullptr && theirs->generated != mine.generated) {
      return fmt::format("column {} is generated on one side only", mine.name);
    }
    if (theirs == nullptr && !mine.generated && mine.not_null && !mine.default_value &&
        mine.identity.empty()) {
      return fmt::format(
          "column {} is NOT NULL here, has no default, and is not in the master region", mine.name);
    }
  }
  return {};
}

Result<std::vector<QualifiedName>> parents_first(pg::Connection& connection,
                                                 const TableShapes& tables) {
  const auto rows =
      TRY(connection.query("SELECT child_schema, child_table, parent_schema, parent_table FROM "
                           "domicile.reference_keys()"));
  std::map<QualifiedName, std::set<QualifiedName>> parents;
  for (int i = 0; i < rows.size(); ++i) {
    const QualifiedName child{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))};
    const QualifiedName parent{std::string(rows.text(i, 2)), std::string(rows.text(i, 3))};
    if (child != parent && tables.contains(child) && tables.contains(parent))
      parents[child].insert(parent);
  }
  std::vector<QualifiedName> order;
  std::set<QualifiedName> done;
  while (order.size() < tables.size()) {
    const std::size_t before = order.size();
    for (const auto& [name, shape] : tables) {
      const auto ready = [&] {
        return std::ranges::all_of(parents[name],
                                   [&](const auto& parent) { return done.contains(parent); });
      };
      if (done.contains(name) || !ready()) continue;
      order.push_back(name);
      done.insert(name);
    }
    if (order.size() > before) continue;
    for (const auto& [name, shape] : tables) {  // what is left is a cycle, or hangs on one
      if (done.insert(name).second) order.push_back(name);
    }
  }
  return order;
}

std::string quoted(const QualifiedName& name) {
  return pg::quote_identifier(name.schema) + "." + pg::quote_identifier(name.name);
}

}  // namespace domicile::reference
