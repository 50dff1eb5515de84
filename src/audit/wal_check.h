// The write-ahead log of a folder, held against the published log: what the checkpoint covers must
// be the same there and here, byte for byte; what lies beyond it must be whole records in order
// (event_line.h), which finds damage; against forgery stands the next checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "audit/log_source.h"
#include "audit/storage.h"

namespace domicile::audit {

struct WalReport {
  std::uint64_t segments = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t first_sequence = 0;  // 0: none
  std::uint64_t last_sequence = 0;
  std::uint64_t unfinished_bytes = 0;  // after the last record: a write under way, or cut short
};

// `source` was verified at `size` (0: nothing is published). nullopt: the folder has no segments.
Result<std::optional<WalReport>> check_wal(Folder& folder, LogSource& source, std::uint64_t size,
                                           const std::function<void(std::string)>& problem);

}  // namespace domicile::audit
