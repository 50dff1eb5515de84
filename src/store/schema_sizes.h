// How much of each table is whose: rows and bytes per organization, which a migration is planned
// from.
//
// Bytes are those of the stored values (compressed and out-of-line values count as they lie on disk)
// plus the row's header: what a move carries, without indexes and bloat. A table larger than
// `exact_bytes` is read in random pages up to that size and scaled, unless `exact`; the result says
// so. As with read_facts(): each table in a read-only transaction of its own with timeouts, and one
// that cannot be read is reported, never counted as empty.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/probe.h"
#include "catalog/schema.h"
#include "pg/connection.h"

namespace domicile::store {

struct Amount {
  double rows = 0;  // whole numbers, unless the table was sampled
  double bytes = 0;
  void add(const Amount& other) {
    rows += other.rows;
    bytes += other.bytes;
  }
};

struct TableSizes {
  catalog::QualifiedName table;
  std::map<std::string, Amount> organizations;  // by key, as text
  Amount without;       // rows without an organization: NULL key, or no way was given
  Amount orphaned;      // rows whose way leads to nothing
  double factor = 1;    // 1: every row was read; 20: one page in twenty
  std::string skipped;  // why nothing is known; "" when it is
};

struct SizesOptions {
  bool exact = false;
  std::int64_t exact_bytes = 128 << 20;  // per table
  std::chrono::milliseconds statement_timeout{30'000};
  std::chrono::milliseconds lock_timeout{200};
  std::chrono::milliseconds budget{600'000};  // for all tables
};

struct SizeQuestion {
  catalog::QualifiedName table;
  std::optional<catalog::Way> way;  // steps with their referenced columns; none: totals only
};

// Fails only when the connection is lost. `progress` is told the place of each table, from 0.
Result<std::vector<TableSizes>> read_sizes(pg::Connection& connection,
                                           const catalog::Schema& schema,
                                           const std::vector<SizeQuestion>& questions,
                                           const SizesOptions& options,
                                           const std::function<void(std::size_t)>& progress);

// People (column `person` of `members`, whose column `key` is the organization) by the number of
// different regions their organizations are in: {1: 900, 2: 3}. `regions` is parallel to `keys`.
Result<std::map<std::int64_t, std::int64_t>> people_by_regions(
    pg::Connection& connection, const catalog::QualifiedName& members, const std::string& key,
    const std::string& person, const std::vector<std::string>& keys,
    const std::vector<std::string>& regions, const SizesOptions& options);

}  // namespace domicile::store
