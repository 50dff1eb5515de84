// Definitions of views and functions are other people's SQL: whatever the text, reading its joins ends,
// and every join names columns that are there, in both directions.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "catalog/joins.h"
#include "sqltext/plpgsql.h"

namespace {

const domicile::catalog::Schema& sample_schema() {
  static const auto made = [] {
    domicile::catalog::Schema schema;
    schema.schemas = {"public"};
    for (const char* name : {"a", "b", "c"}) {
      domicile::catalog::TableShape table;
      table.name = {"public", name};
      for (const char* column : {"id", "no", "ref"})
        table.columns.push_back({.name = column, .type = "bigint"});
      schema.tables.push_back(std::move(table));
    }
    return schema;
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  if (size > 8'192) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto& schema = sample_schema();
  const auto joins =
      catalog::joins_in({{"f", text}, {"g", "DO $q$ BEGIN " + text + " END $q$"}}, schema);
  CHECK(std::ranges::is_sorted(joins));
  for (const auto& join : joins) {
    CHECK(schema.find(join.table)->column(join.column) != nullptr);
    CHECK(std::ranges::any_of(joins, [&](const auto& back) {
      return back.table == join.other && back.column == join.other_column &&
             back.other == join.table;
    }));
  }
  if (const auto parts = sqltext::plpgsql_parts(text)) {
    for (const auto& part : *parts) CHECK(!part.text.empty());
  }
  return 0;
}
