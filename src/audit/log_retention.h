// Retention: entries at the front of the log whose age is past the published policy lose their text.
// What goes are full bundles of entries and the sealed fields beside them; the tree's tiles stay, so
// that every proof, every checkpoint and every consistency between two of them verifies as before,
// and the removed entries stay bound by their hashes.
//
// The policy and where the log begins now stand in the log's folder (`retention.json`), for whoever
// reads or verifies it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace domicile::audit {

inline constexpr const char* kRetentionFile = "retention.json";

struct TrimPlan {
  std::uint64_t first_kept = 1;  // after the trim
  std::uint64_t first_now = 1;   // before it
  std::uint64_t bytes = 0;       // that it gives back
  std::int64_t oldest_ms = 0;    // of the first entry that is kept now; 0: none
};

// What `apply` would remove: full bundles from the front, all of whose entries are older than
// `before`, as long as the write-ahead log no longer holds them.
Result<TrimPlan> plan_trim(const std::filesystem::path& directory, WallTime before);
// Removes what the plan says. What is gone already is as good: a crash half-way is repeated.
Result<void> remove_trimmed(const std::filesystem::path& directory, const TrimPlan& plan);

Result<void> publish_retention(const std::filesystem::path& directory, unsigned retention_days,
                               std::uint64_t first_kept);

}  // namespace domicile::audit
