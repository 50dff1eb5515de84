// What a comparison asks of the master region's node: one snapshot of the reference tables, and answers
// about it in digests. Rows themselves come only for a repair, and only such as the master has at that very
// moment. CompareService answers for its own database; CompareClient asks over the border.
//
// Errors: Code::conflict with reason "compare_busy" while somebody writes for too long, "compare_scanning"
// for questions before a table is scanned; Code::not_found with reason "compare_run" for a run that is over
// (two minutes without a question end it).
#pragma once

#include <chrono>
#include <optional>

#include "base/secret.h"
#include "reference/table_scan.h"

namespace domicile::reference {

struct CompareOpen {
  std::string region;               // who asks; a new run ends an older one of the same region
  std::vector<std::string> tables;  // labels; empty: all
  double rows_per_second = 0;
};

struct CompareOpened {
  std::string run;
  Secret key;             // of the hash
  std::uint64_t lsn = 0;  // everything in the snapshot was committed before
  std::vector<ComparedTable> tables;
};

struct ScanProgress {
  std::uint64_t rows = 0;  // of all tables
  std::size_t tables = 0;  // that are scanned
  bool done = false;
  double seconds = 0;  // for the scans so far
};

struct MasterRow {
  digest::Hash128 hash;
  std::vector<pg::Param> values;
};

class CompareMaster {
 public:
  static constexpr std::size_t kDigestsMax = 16'384;  // in one question
  static constexpr std::size_t kSymbolsMax = 16'384;
  static constexpr std::size_t kRowsMax = 512;

  virtual ~CompareMaster() = default;
  virtual Result<CompareOpened> open(const CompareOpen& request) = 0;
  // Waits up to `at_most` for the scans' end; an error of theirs is the answer's.
  virtual Result<ScanProgress> progress(const std::string& run,
                                        std::chrono::milliseconds at_most) = 0;
  virtual Result<std::uint64_t> rows_of(const std::string& run, std::size_t table) = 0;
  virtual Result<std::vector<digest::Symbol>> symbols(const std::string& run, std::size_t table,
                                                      std::uint64_t first, std::size_t count) = 0;
  // The hashes of these rows' keys, in their order.
  virtual Result<Digests> keys(const std::string& run, std::size_t table, const Digests& rows) = 0;
  // Those of these rows that the table still has, unchanged since the snapshot, as of a moment at which
  // every transaction that had committed before the question is seen.
  virtual Result<Digests> current(const std::string& run, std::size_t table,
                                  const Digests& rows) = 0;
  // The same, with their values.
  virtual Result<std::vector<MasterRow>> rows(const std::string& run, std::size_t table,
                                              const Digests& rows) = 0;
  virtual Result<void> close(const std::string& run) = 0;
  virtual std::uint64_t bytes() const { return 0; }  // that crossed the border so far
};

}  // namespace domicile::reference
