// What mode observe recorded, read for a report: which tables, how much of their traffic
// enforcement would have refused, and why. Reading folds the sessions' records into sums (sql/region/
// 0300_observe.sql); it needs domicile_node, or the installer. Counts are never too high; what a
// session did since its last record is missing, at most 10 % of what it did, and nothing of its
// first 64 statements of a kind.
//
// Not observable, and said in every report: reads, statements that touched no row, and what was
// rolled back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "pg/connection.h"

namespace domicile::store {

struct Refusal {  // what would have been refused, by reason and sender
  std::string reason;
  std::string command;
  std::string role;
  std::string application;
  std::string statement;                   // a fingerprint without values
  std::vector<std::string> organizations;  // the rows', the most frequent ones
  std::int64_t statements = 0;
  std::string first_at;  // RFC 3339
  std::string last_at;
};

struct ObservedTable {
  catalog::QualifiedName name;
  catalog::TableClass table_class = catalog::TableClass::system;
  catalog::Mode mode = catalog::Mode::off;
  std::string since;           // "" when it is not observed
  std::int64_t seconds = 0;    // since then
  std::int64_t writes = 0;     // rows, as the server's statistics count them
  std::int64_t scans = 0;      // reads of the table or an index of it
  std::int64_t rollbacks = 0;  // transactions of the whole database that were rolled back
  bool statistics_reset = false;
  std::vector<Refusal> refusals;  // the most frequent first
  std::int64_t refused() const;
  // Observed, written to, and nothing would have been refused.
  bool ready() const { return !since.empty() && writes > 0 && refusals.empty(); }
};

struct ObservationReport {
  std::vector<ObservedTable> tables;
  bool store_full = false;  // sessions stopped recording until this report was made
};

Result<ObservationReport> read_observations(pg::Connection& connection);

// Statements on one table in the last `hours` that would have been refused.
Result<std::int64_t> refused_lately(pg::Connection& connection, const catalog::QualifiedName& table,
                                    int hours);

// One sentence for people: what the reason means, and what to do.
struct ReasonText {
  std::string_view meaning;
  std::string_view remedy;
};
ReasonText reason_text(std::string_view reason);

}  // namespace domicile::store
