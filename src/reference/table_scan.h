// One pass over a table in one snapshot: each row is hashed as it comes, goes into the first coded symbol, which
// tells whether the sides are equal, and its hash and place into a spill. Everything later is asked of the
// spill; the table itself is read again only for the rows that turn out to differ, by their place. Memory does
// not grow with the table.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <unordered_map>

#include "digest/keyed_hash.h"
#include "digest/spill.h"
#include "digest/symbols.h"
#include "pg/connection.h"
#include "reference/compared_table.h"

namespace domicile::reference {

using Digests = std::vector<digest::Hash128>;
using Places = std::unordered_map<digest::Hash128, digest::Locator, digest::Hash128Hasher>;

// A row as its place and its hashes; `values` only where they were asked for.
struct PlacedRow {
  digest::Locator where;
  digest::Hash128 hash;
  digest::Hash128 key;
  std::vector<pg::Param> values;  // as text, in the order of the columns
};

struct ScanLimits {
  std::filesystem::path folder;                      // for the spill
  double rows_per_second = 0;                        // 0: as fast as it goes
  std::stop_token stop;                              // Code::timeout, reason "cancelled"
  std::function<void(std::uint64_t rows)> progress;  // now and then; may be empty
};

class TableScan {
 public:
  // Symbols that one pass over the spill makes: enough for about 350 differing rows.
  static constexpr std::size_t kSketched = 512;

  // Reads the table in the connection's transaction. `only` is a further condition, or "". The table and
  // the hash outlive the scan.
  static Result<TableScan> run(pg::Connection& connection, const ComparedTable& table,
                               const digest::KeyedHash& hash, const std::string& only,
                               const ScanLimits& limits);

  std::uint64_t rows() const { return spill_.rows(); }
  Result<std::vector<digest::Symbol>> symbols(std::uint64_t first, std::size_t count);
  // Where the rows of these hashes lie; remembered for the next question. A hash that no row has is
  // Code::invalid: the other side has computed it from somewhere else.
  Result<Places> places(const Digests& hashes);

 private:
  explicit TableScan(digest::Spill spill) : spill_(std::move(spill)) {}
  digest::Spill spill_;
  digest::Symbol first_;
  std::optional<digest::Sketch> sketch_;  // the first kSketched symbols, once they are asked for
  Places known_;
};

// Rows again by their place, as far as they are visible in the connection's transaction (or now, outside of
// one). `values`: with the columns as text.
Result<void> read_places(pg::Connection& connection, const ComparedTable& table,
                         const digest::KeyedHash& hash, std::span<const digest::Locator> places,
                         bool values, const std::function<void(PlacedRow)>& row);
// All rows that fulfil a condition.
Result<void> read_where(pg::Connection& connection, const ComparedTable& table,
                        const digest::KeyedHash& hash, const std::string& condition, bool values,
                        const std::function<void(PlacedRow)>& row);

}  // namespace domicile::reference
