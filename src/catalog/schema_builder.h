// Schemas for tests, written in one line a table:
//   make_schema({"orgs: id pk, slug unique", "courses: id pk, org_id! -> orgs, title"})
// A column is `name`, then `!` for NOT NULL, `:type` (bigint when absent), `-> table` for a foreign
// key to its primary key, `pk`, `unique` or `indexed`. All tables stand in schema public.
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/schema.h"

namespace domicile::catalog::testing_support {

inline std::vector<std::string> pieces(std::string_view text, char separator) {
  std::vector<std::string> out;
  std::stringstream stream{std::string(text)};
  for (std::string piece; std::getline(stream, piece, separator);) {
    piece.erase(0, piece.find_first_not_of(' '));
    while (piece.ends_with(' ')) piece.pop_back();
    out.push_back(piece);
  }
  return out;
}

inline void add_column(TableShape& table, const std::string& text) {
  const auto words = pieces(text, ' ');
  Column column;
  column.name = words.at(0);
  column.type = "bigint";
  if (const auto colon = column.name.find(':'); colon != std::string::npos) {
    column.type = column.name.substr(colon + 1);
    column.name.resize(colon);
    if (column.type.ends_with('!')) column.type.pop_back(), column.not_null = true;
  }
  if (column.name.ends_with('!')) column.name.pop_back(), column.not_null = true;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool primary = words[i] == "pk";
    column.not_null = column.not_null || primary;
    column.has_default = column.has_default || primary;
    if (words[i] == "->") {
      table.foreign_keys.push_back({.name = table.name.name + "_" + column.name,
                                    .columns = {column.name},
                                    .references = {"public", words.at(i + 1)},
                                    .referenced_columns = {"id"}});
      ++i;
    } else {
      table.indexes.push_back({.name = words[i] + "_" + column.name,
                               .columns = {column.name},
                               .unique = words[i] != "indexed",
                               .primary = primary});
    }
  }
  table.columns.push_back(std::move(column));
}

inline Schema make_schema(const std::vector<std::string>& tables) {
  Schema schema;
  schema.schemas = {"public"};
  schema.server_version = 150018;
  for (const std::string& text : tables) {
    const auto colon = text.find(':');
    TableShape table;
    table.name = {"public", text.substr(0, colon)};
    for (const std::string& column : pieces(text.substr(colon + 1), ',')) add_column(table, column);
    schema.tables.push_back(std::move(table));
  }
  std::ranges::sort(schema.tables, {}, &TableShape::name);
  return schema;
}

}  // namespace domicile::catalog::testing_support
