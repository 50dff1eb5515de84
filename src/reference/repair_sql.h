// The statements of a repair: pure functions of a table's shape.
#pragma once

#include "reference/compared_table.h"

namespace domicile::reference {

// {"a",NULL,"NULL"}: a list with NULLs as one parameter of type text[].
std::string nullable_array(const std::vector<pg::Param>& items);
// Parameters: one text[] for each column, all of one length. Also sets key columns whose equal values may
// be written in several ways (1.0 and 1.00).
std::string upsert_sql(const ComparedTable& table);
// Parameters: the part's OID, and a tid[] of row versions; those that are not there any more stay unharmed.
std::string delete_sql(const ComparedTable& table);

}  // namespace domicile::reference
