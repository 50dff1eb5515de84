// One comparison in the master region: a snapshot, a thread that scans its tables one after the other, then
// answers from the spills. The snapshot is a prefix of the log of changes: it is taken once every transaction
// that was writing to one of the tables has ended, because a commit can reach a replica before it is visible
// to other sessions here. It needs no replication slot and waits for no other transaction.
//
// Thread-safe. The scans' errors are given to whoever asks.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "reference/compare_master.h"

namespace domicile::reference {

struct CompareRunOptions {
  std::string dsn;
  std::filesystem::path folder;                  // for the spills
  std::chrono::milliseconds writers_ms{30'000};  // to wait for those who write, before the snapshot
  std::chrono::milliseconds doubt_ms{3'000};     // the same, before rows are looked at again
};

class CompareRun {
 public:
  static Result<std::unique_ptr<CompareRun>> open(const CompareRunOptions& options,
                                                  const CompareOpen& request,
                                                  const std::stop_token& stop);
  ~CompareRun();

  const CompareOpened& opened() const { return opened_; }
  const std::string& region() const { return region_; }
  std::chrono::steady_clock::time_point asked_at() const;

  Result<ScanProgress> progress(std::chrono::milliseconds at_most);
  Result<std::uint64_t> rows_of(std::size_t table);
  Result<std::vector<digest::Symbol>> symbols(std::size_t table, std::uint64_t first,
                                              std::size_t count);
  Result<Digests> keys(std::size_t table, const Digests& rows);
  Result<std::vector<MasterRow>> current(std::size_t table, const Digests& rows, bool values);

 private:
  CompareRun(const CompareRunOptions& options, pg::Connection connection);
  void scan_all(const std::stop_token& stop, double rows_per_second);
  // The lock, once everything is scanned; also notes that somebody asked.
  Result<std::unique_lock<std::mutex>> scanned(std::size_t table);

  CompareRunOptions options_;
  std::string region_;
  pg::Connection connection_;            // in the snapshot's transaction
  std::unique_ptr<pg::Connection> now_;  // outside of it, once rows are looked at again
  CompareOpened opened_;
  std::optional<digest::KeyedHash> hash_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::chrono::steady_clock::time_point asked_at_;
  ScanProgress progress_;
  std::uint64_t rows_before_ = 0;  // of finished tables
  std::optional<Error> error_;
  std::vector<TableScan> scans_;
  std::jthread thread_;  // last: it uses all of the above
};

// Waits until none of the transactions that write to these tables now does any more. Code::conflict,
// reason "compare_busy", past the deadline; the message names the one that is left.
Result<void> wait_for_writers(pg::Connection& connection, std::span<const ComparedTable> tables,
                              std::chrono::milliseconds at_most, const std::stop_token& stop = {});

}  // namespace domicile::reference
