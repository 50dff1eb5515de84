// A temporary table outlives its transaction on a pooled connection and has no row security: what
// one tenant puts there, another's statement would find. So while any table is enforced, PUBLIC has
// no right to make them; organizations' own roles, which share no connection, keep it, and so do
// the tables' owners. What was there before is remembered and comes back with the last enforced
// table.
#pragma once

#include <string>
#include <vector>

#include "pg/connection.h"

namespace domicile::store {

// Brings the database's TEMPORARY privilege to what `enforced` asks for; the statements that ran,
// or would run. Nothing where the database belongs to somebody else.
Result<std::vector<std::string>> settle_temporary_tables(pg::Connection& connection, bool enforced,
                                                         bool dry_run);

// Is any table enforced, as the database has recorded it?
Result<bool> any_enforced(pg::Connection& connection);

}  // namespace domicile::store
