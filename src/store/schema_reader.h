// Reads the shape of a live database into a catalog::Schema, and looks at a bounded sample of its
// rows.
//
// Both work on a production server without being felt: read_schema() is one short read-only
// transaction over pg_catalog alone, a handful of set-based queries however many tables there are,
// and takes no lock on any table. read_facts() looks at each table in a transaction of its own,
// read-only, with a statement and a lock timeout, at no more than `sample_rows` rows; a table that
// cannot be looked at (permission, timeout, a lock held by a migration) is reported in `skipped`,
// and its fact stays unset. Nothing is written, no session setting is left behind (also behind a
// pooler in transaction mode).
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "catalog/probe.h"
#include "catalog/schema.h"
#include "pg/connection.h"

namespace domicile::store {

struct SchemaReaderOptions {
  std::vector<std::string> schemas;  // empty: all but PostgreSQL's and Domicile's own
  std::chrono::milliseconds statement_timeout{30'000};
};

// Code::not_found when a named schema does not exist.
Result<catalog::Schema> read_schema(pg::Connection& connection,
                                    const SchemaReaderOptions& options = {});

struct FactsOptions {
  std::int64_t sample_rows = 1'000;                    // per table
  std::chrono::milliseconds statement_timeout{2'000};  // per table
  std::chrono::milliseconds lock_timeout{200};
  std::chrono::milliseconds budget{45'000};  // for all tables; the rest is skipped
};

struct FactsRead {
  catalog::FactsByTable facts;
  std::vector<std::pair<catalog::QualifiedName, std::string>> skipped;  // with the reason
};

// Fails only when the connection is lost.
Result<FactsRead> read_facts(pg::Connection& connection, const catalog::Schema& schema,
                             const std::vector<catalog::Probe>& probes,
                             const FactsOptions& options = {});

}  // namespace domicile::store
