#include "reference/table_writer.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "crypto/sha256.h"

namespace domicile::reference {
namespace {

using pg::quote_identifier;

// A table s(s1, ...) of the arrays $1, ...
std::string unnest(std::size_t count) {
  std::vector<std::string> params, names;
  for (std::size_t i = 1; i <= count; ++i) {
    params.push_back(fmt::format("pg_catalog.unnest(${}::pg_catalog.text[])", i));
    names.push_back(fmt::format("s{}", i));
  }
  return fmt::format("ROWS FROM ({}) AS s({})", fmt::join(params, ", "), fmt::join(names, ", "));
}

// A line of COPY's text format.
void append_line(std::string& out, const ColumnValues& values, std::size_t row) {
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (c != 0) out.push_back('\t');
    const Value& value = values[c][row];
    if (!value) {
      out += "\\N";
      continue;
    }
    std::string_view rest = *value;
    for (auto at = rest.find_first_of("\\\t\n\r"); at != std::string_view::npos;
         at = rest.find_first_of("\\\t\n\r")) {
      out.append(rest.substr(0, at));
      out.push_back('\\');
      out.push_back(rest[at] == '\t'   ? 't'
                    : rest[at] == '\n' ? 'n'
                    : rest[at] == '\r' ? 'r'
                                       : '\\');
      rest.remove_prefix(at + 1);
    }
    out.append(rest);
  }
  out.push_back('\n');
}

}  // namespace

TableWriter::TableWriter(const TableShape& own, const std::vector<std::string>& names)
    : name_(own.name), columns_(names) {
  for (const std::string& name : names) {
    const ColumnShape* column = own.find(name);
    CHECK(column != nullptr);
    if (column->key) key_.push_back(casts_.size());
    casts_.push_back(column->cast);
    identity_always_.push_back(column->identity == "a");
  }
}

std::string TableWriter::column_list() const {
  std::vector<std::string> list;
  for (const auto& column : columns_) list.push_back(quote_identifier(column));
  return fmt::format("{}", fmt::join(list, ", "));
}

std::vector<std::size_t> TableWriter::all_but_key() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (may_set(i) && std::ranges::find(key_, i) == key_.end()) out.push_back(i);
  }
  return out;
}

Result<pg::Rows> TableWriter::run(pg::Connection& connection, const std::string& sql,
                                  std::span<const std::vector<Value>* const> arrays) {
  std::vector<std::string> bytes;
  bytes.reserve(arrays.size());
  for (const auto* array : arrays) bytes.push_back(pg::binary_text_array(*array));
  std::vector<pg::BoundValue> params;
  for (const auto& each : bytes) params.push_back({.bytes = each, .binary = true});
  return connection.execute("reference_" + crypto::sha256_hex(sql).substr(0, 24), sql, params);
}

Result<std::int64_t> TableWriter::insert(pg::Connection& connection, const ColumnValues& values) {
  std::vector<std::string> select, key;
  std::vector<const std::vector<Value>*> arrays;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    select.push_back(fmt::format("s.s{}::{}", i + 1, casts_[i]));
    arrays.push_back(&values[i]);
  }
  for (const std::size_t i : key_) key.push_back(quote_identifier(columns_[i]));
  const auto rows = TRY(run(connection,
                            fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} "
                                        "FROM {} ON CONFLICT ({}) DO NOTHING",
                                        quoted_name(), column_list(), fmt::join(select, ", "),
                                        unnest(columns_.size()), fmt::join(key, ", ")),
                            arrays));
  const auto given = static_cast<std::int64_t>(values.front().size());
  const std::int64_t there = given - rows.affected();
  if (there == 0) return 0;
  ColumnValues keys;
  for (const std::size_t i : key_) keys.push_back(values[i]);
  ColumnValues set;
  const auto places = all_but_key();
  for (const std::size_t i : places) set.push_back(values[i]);
  TRY(update(connection, places, set, keys));
  return there;
}

Result<std::int64_t> TableWriter::load(pg::Connection& connection, const ColumnValues& values) {
  constexpr std::size_t kChunk = 64u << 10;
  constexpr std::string_view kUniqueViolation = "23505";
  TRY(connection.script("SAVEPOINT load"));
  const std::size_t count = values.front().size();
  std::size_t row = 0;
  const auto loaded =
      connection.copy_in(fmt::format("COPY {} ({}) FROM STDIN", quoted_name(), column_list()),
                         [&]() -> std::optional<std::string> {
                           if (row == count) return std::nullopt;
                           std::string chunk;
                           chunk.reserve(kChunk + kChunk / 4);
                           while (row < count && chunk.size() < kChunk)
                             append_line(chunk, values, row++);
                           return chunk;
                         });
  if (!loaded && loaded.error().reason == kUniqueViolation) {
    TRY(connection.script("ROLLBACK TO SAVEPOINT load; RELEASE SAVEPOINT load"));
    return insert(connection, values);
  }
  if (!loaded) return std::unexpected(loaded.error());
  TRY(connection.script("RELEASE SAVEPOINT load"));
  return 0;
}

Result<std::int64_t> TableWriter::update(pg::Connection& connection,
                                         const std::vector<std::size_t>& set,
                                         const ColumnValues& values, const ColumnValues& keys) {
  if (set.empty()) return 0;
  std::vector<std::string> assign, where;
  std::vector<const std::vector<Value>*> arrays;
  std::size_t at = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    arrays.push_back(&values[i]);
    assign.push_back(
        fmt::format("{} = s.s{}::{}", quote_identifier(columns_[set[i]]), ++at, casts_[set[i]]));
  }
  for (std::size_t i = 0; i < key_.size(); ++i) {
    arrays.push_back(&keys[i]);
    where.push_back(fmt::format("t.{} = s.s{}::{}", quote_identifier(columns_[key_[i]]), ++at,
                                casts_[key_[i]]));
  }
  const auto rows =
      TRY(run(connection,
              fmt::format("UPDATE {} AS t SET {} FROM {} WHERE {}", quoted_name(),
                          fmt::join(assign, ", "), unnest(at), fmt::join(where, " AND ")),
              arrays));
  return static_cast<std::int64_t>(keys.front().size()) - rows.affected();
}

Result<std::int64_t> TableWriter::remove(pg::Connection& connection, const ColumnValues& keys) {
  std::vector<std::string> where;
  std::vector<const std::vector<Value>*> arrays;
  for (std::size_t i = 0; i < key_.size(); ++i) {
    arrays.push_back(&keys[i]);
    where.push_back(fmt::format("t.{} = s.s{}::{}", quote_identifier(columns_[key_[i]]), i + 1,
                                casts_[key_[i]]));
  }
  const auto rows = TRY(run(connection,
                            fmt::format("DELETE FROM {} AS t USING {} WHERE {}", quoted_name(),
                                        unnest(key_.size()), fmt::join(where, " AND ")),
                            arrays));
  return static_cast<std::int64_t>(keys.front().size()) - rows.affected();
}

}  // namespace domicile::reference
