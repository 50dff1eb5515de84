// A reference table as it is compared: which columns, in which form, and what identifies a row. Two values
// are the same when PostgreSQL writes them alike as text, because text is what the stream carries and what
// a repair can bring about. So 1.0 and 1.00, -0 and 0 differ; all NaN are one. Types whose binary form is
// one-to-one with their text are read in binary, which costs the server least; all others (arrays,
// composites, ranges, types of extensions) as text, since their binary form may hold OIDs.
//
// Left out: generated columns (each side computes its own), and what the publication leaves out. Rows that
// the publication's filter keeps at home are not read in the master region.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::reference {

struct ComparedColumn {
  std::string name;
  std::string type;        // as format_type() says, without its modifier
  std::string expression;  // what is selected
};

struct ComparedTable {
  std::string schema;
  std::string name;
  std::vector<ComparedColumn> columns;  // the key's first
  std::size_t key_columns = 0;
  std::string filter;                // of the publication; "" for every row
  std::vector<std::uint32_t> parts;  // OIDs of what holds rows, itself or its partitions, rising
  std::int64_t rows_estimated = 0;
  std::vector<std::string> parents;  // labels of tables that it refers to

  std::string quoted() const;  // for SQL
  std::string label() const {
    return schema + "." + name;
  }  // for people, and as its name everywhere
  // Without the columns beyond the key that `other` does not have.
  void keep_columns_of(const ComparedTable& other);
  // The same columns and key: the two can be compared. What is different, or "".
  std::string difference_from(const ComparedTable& other) const;
};

// All reference tables that are enforced, by name. A table without a primary key has key_columns 0.
Result<std::vector<ComparedTable>> read_compared_tables(pg::Connection& connection);

// The settings under which values have one form. For the session, before anything is read.
Result<void> set_canonical(pg::Connection& connection);

// Parents before their children; tables that refer to each other stay as they were.
void sort_by_parents(std::vector<ComparedTable>& tables);

}  // namespace domicile::reference
