// Mode observe as SQL: triggers whose WHEN clause records what enforcement would refuse, and is
// never true. Triggers and not a CHECK: they lock out no reader when they come, ATTACH PARTITION
// and CREATE TABLE ... LIKE work as before, and what an application's own triggers change is seen.
// Internal to the guard's SQL; the functions asked are in sql/region/0003.
#pragma once

#include <string>

#include "store/guard_path.h"
#include "store/guard_sql.h"

namespace domicile::store {

// `table` is the quoted name. Each adds to guard.guard, and to functions and grants what that needs.
void observe_key(TableGuard& guard, const std::string& table, const std::string& key, bool mixed,
                 domain::KeyType type);
void observe_path(TableGuard& guard, const std::string& table, const ResolvedPath& path,
                  domain::KeyType type);
void observe_person(TableGuard& guard, const std::string& table);
void observe_reference(TableGuard& guard, const std::string& table);

}  // namespace domicile::store
