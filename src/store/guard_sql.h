// The guard of one table as SQL text: pure functions from the catalog and the shape of the schema,
// so that
// --dry-run prints exactly what would run. Nothing here talks to a database; store/catalog_apply.h
// does.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "catalog/schema.h"

namespace domicile::store {

// What {{placeholders}} of sql/region/ mean for a key type.
std::map<std::string, std::string> region_placeholders(domain::KeyType type);

// Everything one table needs, in the order in which it runs. A table whose `spec` hash is the
// recorded one, and whose state in the database is the recorded one, is left alone.
struct TableGuard {
  catalog::QualifiedName name;
  catalog::TableClass table_class = catalog::TableClass::system;
  catalog::Mode mode = catalog::Mode::off;
  std::string key;                      // the key column, or ""
  bool key_required = false;            // it is NOT NULL now
  bool planned = false;                 // not in the database yet: only recorded
  std::vector<std::string> partitions;  // quoted names, of all levels
  std::vector<std::string> inheriting;  // those of them that are no partitions but INHERIT
  std::vector<std::string> functions;   // home_<parent>(): idempotent
  std::vector<std::string> guard;       // CHECK and triggers; expects none of ours on the table
  std::vector<std::string> policy;      // row security; expects none of ours on the table
  std::vector<std::string> grants;      // idempotent
  std::vector<std::string> notes;       // for people: proposals and limits
  std::string guard_hash() const;
  std::string policy_hash() const;
};

// The plan for a whole catalog, or every reason why it cannot be (Code::invalid): a key that is not
// there or has another type, a path that leads nowhere, a table that is in neither.
Result<std::vector<TableGuard>> plan_guards(const catalog::Catalog& catalog,
                                            const catalog::Schema& schema);

// Tenants read a reference table, its applier writes it and sets its sequences.
std::vector<std::string> reference_grants(const catalog::QualifiedName& name);

// TRUNCATE passes every row trigger: one of its own refuses it.
void truncate_guard(std::vector<std::string>& sql, const std::string& table,
                    catalog::TableClass table_class);

// "schema"."name", quoted.
std::string quoted(const catalog::QualifiedName& name);

}  // namespace domicile::store
