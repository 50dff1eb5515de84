// The index's tables (sql/index), as the loader uses them. Rows and the position in the log are
// stored in one transaction: after a crash anywhere the index holds each event once.
//
// One thread at a time. Errors as in pg/connection.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "audit/wal_reader.h"
#include "base/result.h"
#include "pg/connection.h"

namespace domicile::logindex {

using Entry = audit::LogEntry;
// Entries from a sequence on, in order and without gaps, only such as are durable; fewer than asked
// where the log ends, none when nothing is there. Where retention removed the first ones, the feed
// begins with the first that is kept.
using Feed = std::function<Result<std::vector<Entry>>(std::uint64_t from, std::size_t most)>;
// The line with its personal fields opened; as it is where it cannot be opened.
using Opener = std::function<std::string(const Entry& entry)>;

struct IndexStatus {
  std::string origin;
  std::int64_t log = 0;
  std::uint64_t first_sequence = 1;
  std::uint64_t next_sequence = 1;
  std::uint64_t rows = 0;               // counted, not taken from the position
  std::uint64_t bundles = 0;            // of 256 sequences, of which something is there
  std::vector<std::string> incomplete;  // "257 to 512: 255 rows", the first few of them
  std::string loaded_at;
};

class IndexStore {
 public:
  // Code::not_found when the database has no index: the message says how to make one.
  static Result<IndexStore> open(const std::string& dsn, const std::string& origin);

  // Takes up to `most` entries from where the index stands. How many there were.
  Result<std::size_t> load(const Feed& feed, const Opener& opener, std::size_t most,
                           std::chrono::sys_days today);
  // Forgets this log's rows and position; the next load() begins at `from`.
  Result<void> reset(std::uint64_t from);
  Result<std::size_t> drop_before(std::chrono::sys_days day);
  Result<IndexStatus> status();
  pg::Connection& connection() { return connection_; }

 private:
  struct Erasure {
    std::uint64_t sequence = 0;
    std::string organization;
  };
  IndexStore(pg::Connection connection, std::string origin, std::int64_t log)
      : connection_(std::move(connection)), origin_(std::move(origin)), log_(log) {}
  Result<void> make_partitions(const std::vector<Entry>& entries, std::chrono::sys_days today);
  Result<std::vector<Erasure>> store(const std::vector<Entry>& entries, const Opener& opener);
  Result<void> erase(const std::string& organization, std::uint64_t before, const Feed& feed,
                     const Opener& opener);

  pg::Connection connection_;
  std::string origin_;
  std::int64_t log_;
  std::set<std::chrono::sys_days> made_;  // days whose partition is there
};

}  // namespace domicile::logindex
