// A replica region's reference tables against the master's, without a false alarm while rows change and
// without stopping the stream. This side takes its snapshot first, the master's is a later prefix of the
// changes, both are read once; coded symbols tell which rows differ. What differs may only have changed in
// between, so it is looked at again once the stream has passed the master's snapshot: a difference counts
// when the master still has its row unchanged and this side, at a second snapshot, still has not; or, for
// a row that the master has not, when it stands here untouched. (Decision record 105.)
//
// Only digests cross. One thread at a time.
#pragma once

#include "reference/compare_master.h"

namespace domicile::reference {

struct DifferingRow {
  digest::Hash128 key;
  std::optional<digest::Hash128> master;   // the master's row; nullopt: an extra one
  std::optional<digest::SpilledRow> here;  // this region's; nullopt: a missing one
};

// Counts of one table, as they are reported and kept.
struct TableOutcome {
  std::string table;              // its label
  std::string outcome = "equal";  // different, repaired, failed
  std::string reason;
  std::uint64_t master_rows = 0;
  std::uint64_t replica_rows = 0;
  std::uint64_t missing = 0;
  std::uint64_t extra = 0;
  std::uint64_t changed = 0;
  std::uint64_t repaired = 0;
  std::uint64_t blocked = 0;
  std::uint64_t in_passing = 0;  // differed only because they changed meanwhile
  std::uint64_t bytes = 0;
  double seconds = 0;
  std::vector<std::string> keys;  // hashes of the first differing rows' keys, hex

  std::uint64_t differences() const { return missing + extra + changed; }
};

struct ComparisonOptions {
  std::string dsn;  // of the applier's login
  std::string region;
  std::filesystem::path folder;
  std::vector<std::string> tables;  // labels; empty: all
  double rows_per_second = 0;
  std::chrono::milliseconds stream_ms{
      60'000};  // to wait for the stream to pass the master's snapshot
  std::stop_token stop;
  std::function<void(std::uint64_t rows, std::uint64_t rows_estimated)> progress;
};

class Comparison {
 public:
  static constexpr std::uint64_t kSymbolsMax = 1u << 20;  // about 750,000 differing rows

  // Takes both snapshots. The master outlives the comparison.
  static Result<std::unique_ptr<Comparison>> begin(CompareMaster& master,
                                                   ComparisonOptions options);
  ~Comparison();  // ends the master's run

  // Reads all tables, on both sides at once.
  Result<void> scan();
  std::size_t size() const { return tables_.size(); }  // parents before children
  const ComparedTable& table(std::size_t index) const { return tables_[index]; }
  // Confirmed differences, counted in outcome(index). An error of one table is in its outcome.
  std::vector<DifferingRow> compare(std::size_t index);
  TableOutcome& outcome(std::size_t index) { return outcomes_[index]; }
  // The master's rows that it still has as they were in its snapshot, with their values.
  Result<std::vector<MasterRow>> master_rows(std::size_t index, const Digests& rows);

 private:
  Comparison(CompareMaster& master, ComparisonOptions options, pg::Connection connection);
  Result<void> match_tables();
  Result<void> find(std::size_t index, Digests& master, Digests& here);
  Result<std::vector<DifferingRow>> pair(std::size_t index, const Digests& master,
                                         const Digests& here);
  Result<std::vector<DifferingRow>> confirm(std::size_t index, std::vector<DifferingRow> rows);
  Result<pg::Connection> snapshot_past_master();
  void count(std::size_t index, const std::vector<DifferingRow>& rows);

  CompareMaster& master_;
  ComparisonOptions options_;
  pg::Connection connection_;  // in the snapshot's transaction
  std::string snapshot_xmin_;  // whatever changed since has a later one
  CompareOpened opened_;
  std::optional<digest::KeyedHash> hash_;
  std::vector<ComparedTable> tables_;
  std::vector<std::optional<std::size_t>>
      at_master_;  // its number there; nullopt: the outcome says why
  std::vector<std::optional<TableScan>> scans_;
  std::vector<TableOutcome> outcomes_;
};

}  // namespace domicile::reference
