// Follows the write-ahead log, the segments of framed lines, record by record from any sequence on,
// also while the ledger writes. It reads what the files hold: a record that was not acknowledged may
// be cut away again and another one take its sequence, so whoever must not see that asks for no more
// than is known to be durable. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/storage.h"

namespace domicile::audit {

// One record, and what its entry in the log is: `line`, byte for byte. Its index in the log's tree
// is sequence - 1.
struct LogEntry {
  std::uint64_t sequence = 0;
  std::string line;    // without its newline
  std::string sealed;  // its personal fields, sealed; empty: it has none
};

class WalReader {
 public:
  explicit WalReader(Folder& folder) : folder_(&folder) {}  // outlives the reader

  // The first sequence that is still in the segments; nullopt: there are none.
  Result<std::optional<std::uint64_t>> first();
  // Whole records from `from` on, at most `count` and about `bytes_max`. Empty: none is written
  // yet. Code::not_found: `from` is no longer here. Code::internal, reason "audit_damaged": what
  // stands there is no record.
  Result<std::vector<LogEntry>> read(std::uint64_t from, std::size_t count,
                                     std::size_t bytes_max = 4u << 20);

 private:
  Result<void> seek(std::uint64_t sequence);
  Result<bool> next_segment();  // false: there is none
  Result<bool> fill(std::size_t bytes);

  Folder* folder_;
  std::uint64_t segment_ = 0;  // the open one's name; 0: none
  std::uint64_t offset_ = 0;   // of buffer_ in it
  std::string buffer_;
  std::size_t at_ = 0;      // in buffer_: where record next_ begins
  std::uint64_t next_ = 0;  // 0: nowhere
};

}  // namespace domicile::audit
