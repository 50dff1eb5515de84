// Reads the entries of a log in order, from any sequence on, wherever they lie: full bundles and
// their personal files, and the write-ahead log behind them. Also while the node writes, from any
// process that may read the folder. It believes the files (frames are checked in the write-ahead log
// only): who needs proof uses the verifier.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "audit/wal_reader.h"

namespace domicile::audit {

class LogReader {
 public:
  static Result<LogReader> open(const std::filesystem::path& directory);
  explicit LogReader(Folder& folder) : folder_(&folder), wal_(folder) {}  // outlives the reader

  // Entries from the sequence `from` (1 is the first) on, at most `count`; empty: there are none
  // yet. Code::not_found, reason "audit_trimmed": retention removed this one; first() says where
  // the log begins.
  Result<std::vector<LogEntry>> read(std::uint64_t from, std::size_t count);
  // The same from the full bundle that holds `from`, wherever the write-ahead log begins.
  Result<std::vector<LogEntry>> read_bundle(std::uint64_t from, std::size_t count);
  // The first sequence whose entry is kept, 1 for an empty log.
  Result<std::uint64_t> first();
  // The last whole record that is written now, 0 for none; a moment later there may be more.
  Result<std::uint64_t> last();

 private:
  std::unique_ptr<Folder> owned_;  // may be null
  Folder* folder_;
  WalReader wal_;
  std::uint64_t last_known_ = 0;
};

}  // namespace domicile::audit
