// Fills Schema::joins: what views and functions of the schemas compare with each other (see
// catalog/joins.h). Names in catalogs are read without a lock; the definition of a view takes a shared lock
// on its tables for a moment, so each one is read in a transaction of its own with a short lock timeout,
// and one that a migration holds is left out. Bounded: kObjectsMax texts, and a budget of time.
#pragma once

#include <chrono>

#include "catalog/schema.h"
#include "pg/connection.h"

namespace domicile::store {

struct JoinReaderOptions {
  std::chrono::milliseconds statement_timeout{2'000};
  std::chrono::milliseconds lock_timeout{100};
  std::chrono::milliseconds budget{5'000};
};

// Fails only when the connection is lost.
Result<void> read_joins(pg::Connection& connection, catalog::Schema& schema,
                        const JoinReaderOptions& options = {});

}  // namespace domicile::store
