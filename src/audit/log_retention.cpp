#include "audit/log_retention.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "audit/event_reader.h"
#include "audit/log_reader.h"
#include "audit/log_tree.h"
#include "base/file.h"
#include "tlog/tile.h"

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;
using tlog::kTileWidth;

std::uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  return error ? 0 : bytes;
}

Result<void> remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (!error) return {};
  return fail(Code::unavailable,
              fmt::format("cannot remove {}: {}", file.string(), error.message()));
}

}  // namespace

Result<TrimPlan> plan_trim(const fs::path& directory, WallTime before) {
  auto folder = TRY(open_disk_folder_read_only(directory));
  LogReader reader(*folder);
  WalReader wal(*folder);
  TrimPlan plan;
  plan.first_now = plan.first_kept = TRY(reader.first());
  const std::uint64_t wal_first = TRY(wal.first()).value_or(1);
  const std::int64_t limit = before.time_since_epoch().count();
  while (plan.first_kept + kTileWidth <= wal_first) {
    const auto entries = TRY(reader.read_bundle(plan.first_kept, kTileWidth));
    if (plan.oldest_ms == 0) plan.oldest_ms = facts_of(entries.front().line).time_ms;
    const bool expired = std::ranges::all_of(
        entries, [&](const LogEntry& entry) { return facts_of(entry.line).time_ms < limit; });
    if (!expired) return plan;
    const std::uint64_t bundle = (plan.first_kept - 1) / kTileWidth;
    plan.bytes +=
        size_of(directory / tlog::bundle_path(bundle)) + size_of(directory / personal_path(bundle));
    plan.first_kept += kTileWidth;
  }
  if (plan.oldest_ms == 0) {
    if (const auto entries = reader.read(plan.first_now, 1); entries && !entries->empty()) {
      plan.oldest_ms = facts_of(entries->front().line).time_ms;
    }
  }
  return plan;
}

Result<void> remove_trimmed(const fs::path& directory, const TrimPlan& plan) {
  // From the front, so that at any time what is kept has no hole.
  const std::uint64_t end = (plan.first_kept - 1) / kTileWidth;
  for (std::uint64_t bundle = (plan.first_now - 1) / kTileWidth; bundle < end; ++bundle) {
    TRY(remove_file(directory / personal_path(bundle)));
    TRY(remove_file(directory / tlog::bundle_path(bundle)));
  }
  return {};
}

Result<void> publish_retention(const fs::path& directory, unsigned retention_days,
                               std::uint64_t first_kept) {
  const nlohmann::json policy = {
      {"policy", "entries at the front of the log are removed by age; hash tiles are kept"},
      {"retention_days", retention_days},
      {"first_kept", first_kept}};
  const auto file = directory / kRetentionFile;
  const std::string text = policy.dump(1) + "\n";
  if (const auto known = read_file(file); known && *known == text) return {};
  return write_file_atomic(file, text, 0644);
}

}  // namespace domicile::audit
