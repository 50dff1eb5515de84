// What stands in a region and how a dump may read it. Internal to dump.h.
#pragma once

#include <string>
#include <vector>

#include "pg/connection.h"
#include "store/dump_manifest.h"

namespace domicile::store {

// The tables of a dump, without counts and hashes: the application's roots and plain tables, then
// Domicile's own that a region cannot be rebuilt without. `left_out` says what is not read.
struct DumpPlan {
  std::vector<DumpedTable> tables;
  std::vector<std::string> left_out;
};
Result<DumpPlan> plan_dump(pg::Connection& connection, const std::vector<std::string>& schemas,
                           const std::vector<std::string>& tables, bool secrets);

// Within a transaction that will be rolled back: lets it read all these tables whole, as
// domicile_owner through the guard's policy, or as the superuser it is.
Result<void> become_reader(pg::Connection& connection, const std::vector<DumpedTable>& tables);

std::string quoted_columns(const DumpedTable& table);
std::string source_of(const DumpedTable& table);  // SELECT of the whole table
Result<void> count_rows(pg::Connection& connection, DumpedTable& table);

}  // namespace domicile::store
