#include "reference/repair_sql.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace domicile::reference {
namespace {

// Types whose equal values look alike; also those of identity columns, which cannot be set.
bool one_form(const std::string& type) {
  static constexpr std::array<std::string_view, 6> kTypes = {"smallint", "integer", "bigint",
                                                             "uuid",     "boolean", "date"};
  return std::ranges::find(kTypes, type) != kTypes.end();
}

}  // namespace

std::string nullable_array(const std::vector<pg::Param>& items) {
  std::string out = "{";
  for (const pg::Param& item : items) {
    if (out.size() > 1) out += ',';
    if (!item) {
      out += "NULL";
      continue;
    }
    out += '"';
    for (const char c : *item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

std::string upsert_sql(const ComparedTable& table) {
  std::vector<std::string> names;
  std::vector<std::string> casts;
  std::vector<std::string> arrays;
  std::vector<std::string> aliases;
  std::vector<std::string> keys;
  std::vector<std::string> sets;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string name = pg::quote_identifier(table.columns[i].name);
    names.push_back(name);
    casts.push_back(fmt::format("u.c{}::{}", i, table.columns[i].type));
    arrays.push_back(fmt::format("${}::pg_catalog.text[]", i + 1));
    aliases.push_back(fmt::format("c{}", i));
    if (i < table.key_columns) keys.push_back(name);
    if (i >= table.key_columns || !one_form(table.columns[i].type))
      sets.push_back(fmt::format("{0} = EXCLUDED.{0}", name));
  }
  return fmt::format(
      "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS u ({}) "
      "ON "
      "CONFLICT ({}) DO {}",
      table.quoted(), fmt::join(names, ", "), fmt::join(casts, ", "), fmt::join(arrays, ", "),
      fmt::join(aliases, ", "), fmt::join(keys, ", "),
      sets.empty() ? "NOTHING" : fmt::format("UPDATE SET {}", fmt::join(sets, ", ")));
}

std::string delete_sql(const ComparedTable& table) {
  return fmt::format(
      "DELETE FROM {} WHERE tableoid = $1::pg_catalog.oid AND ctid = ANY ($2::pg_catalog.tid[])",
      table.quoted());
}

}  // namespace domicile::reference
