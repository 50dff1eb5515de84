// The statements that bring rows of one reference table into this region's database, many rows at a time: one array of
// text for each column. Values are cast to the column's own type by its input function, as pgoutput and COPY print them.
//
// A row is given as all columns that travel, in the order of columns(); nullopt is NULL. Counts say what was found not to be
// as the master's history implies: those rows are the master's afterwards as well.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pg/connection.h"
#include "reference/table_shape.h"

namespace domicile::reference {

using Value = std::optional<std::string_view>;
// Rows by column: values[c][r].
using ColumnValues = std::vector<std::vector<Value>>;

class TableWriter {
 public:
  // `own`: as it is here; `names`: the columns that travel, all of which are in `own`.
  TableWriter(const TableShape& own, const std::vector<std::string>& names);

  const QualifiedName& name() const { return name_; }
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::size_t>& key() const { return key_; }  // places in columns()

  // New rows; those that are there already get the given values. The number of the latter.
  Result<std::int64_t> insert(pg::Connection& connection, const ColumnValues& values);
  // The same for many rows, by COPY: faster, and in the usual case that none is there.
  Result<std::int64_t> load(pg::Connection& connection, const ColumnValues& values);
  // Sets the columns of `set` (places in columns()) where the key is that of `keys` (by place in key()). The number of rows
  // that were not there.
  Result<std::int64_t> update(pg::Connection& connection, const std::vector<std::size_t>& set,
                              const ColumnValues& values, const ColumnValues& keys);
  // The number of rows that were not there.
  Result<std::int64_t> remove(pg::Connection& connection, const ColumnValues& keys);

  std::string quoted_name() const { return quoted(name_); }
  std::string column_list() const;  // quoted, separated by commas
  // Those that an update may set.
  std::vector<std::size_t> all_but_key() const;
  bool may_set(std::size_t column) const { return identity_always_[column] == false; }

 private:
  Result<pg::Rows> run(pg::Connection& connection, const std::string& sql,
                       std::span<const std::vector<Value>* const> arrays);

  QualifiedName name_;
  std::vector<std::string> columns_;
  std::vector<std::string> casts_;
  std::vector<bool> identity_always_;
  std::vector<std::size_t> key_;
};

}  // namespace domicile::reference
