// What stands in a region and how a dump may read it. Internal to dump.h.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "pg/connection.h"
#include "store/dump_manifest.h"
#include "store/dump_schema.h"

namespace domicile::store {

// The tables of a dump, without counts and hashes: the application's roots and plain tables, then
// Domicile's own that a region cannot be rebuilt without. `left_out` says what is not read.
struct DumpPlan {
  std::vector<DumpedTable> tables;
  std::vector<std::string> left_out;
};
Result<DumpPlan> plan_dump(pg::Connection& connection, const std::vector<std::string>& schemas,
                           const std::vector<std::string>& tables, bool secrets);

// How a transaction reads tables whole: guarded ones as domicile_owner through the guard's policies,
// by rights that it gives itself here (it has to be rolled back, unless nothing is guarded); others
// by the login's own rights, where row security that would hide rows is an error. A superuser reads
// everything.
struct Reader {
  bool superuser = false;
  std::set<catalog::QualifiedName> guarded;
};
Result<Reader> become_reader(pg::Connection& connection, const std::vector<DumpedTable>& tables);
// Before each table is read.
Result<void> read_as(pg::Connection& connection, const Reader& reader, const DumpedTable& table);

// What row security was before the guard came, for the tables that are in the catalog.
Result<FormerRowSecurity> former_row_security(pg::Connection& connection);

std::string quoted_columns(const DumpedTable& table);
// What administrators changed and no node has recorded yet: it changes by itself.
bool is_outbox(const catalog::QualifiedName& name);
std::string source_of(const DumpedTable& table);  // SELECT of the whole table
Result<void> count_rows(pg::Connection& connection, DumpedTable& table);

}  // namespace domicile::store
