// The databases of one local region: roles with random passwords, the application's database and
// schema, and in the master region the registry's database. What a managed PostgreSQL's
// administrator and an application's deployment would have done; Domicile itself comes after.
//
// Roles, all with the application's name in front: _owner owns the schema; _installer installs
// Domicile (CREATEROLE and CREATEDB, member of the owner, no superuser); _pool is the application's
// own connection pool; _node is the node at run time; _checker is
// `domicile check`. The node has one more for reference data: _publisher reads the log, in the master
// region; _applier writes the copies, everywhere else.
#pragma once

#include "app/local_context.h"
#include "app/local_postgres.h"
#include "base/result.h"

namespace domicile::app {

inline constexpr const char* kRegistryDatabase = "domicile_registry";

std::string reference_role(const LocalContext& context, const LocalRegion& region);
Result<void> make_databases(LocalContext& context, const LocalRegion& region,
                            const LocalPostgres& server);
Result<void> load_schema(LocalContext& context, const LocalPostgres& server);

// For the command line: secrets/{superuser,installer,owner,node,checker}.dsn and, in the master region,
// secrets/registry.dsn, to be named with --dsn-file. After every start, because ports change.
Result<void> write_operator_files(const LocalContext& context, const LocalRegion& region,
                                  const LocalPostgres& server);

}  // namespace domicile::app
