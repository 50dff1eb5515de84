#include "audit/log_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "audit/log_tree.h"
#include "tlog/tile.h"

namespace domicile::audit {

using tlog::kTileWidth;

Result<LogReader> LogReader::open(const std::filesystem::path& directory) {
  auto folder = TRY(open_disk_folder_read_only(directory));
  LogReader reader(*folder);
  reader.owned_ = std::move(folder);
  return reader;
}

Result<std::vector<LogEntry>> LogReader::read(std::uint64_t from, std::size_t count) {
  auto entries = wal_.read(from, count);
  if (entries || entries.error().code != Code::not_found) return entries;
  return read_bundle(from, count);
}

Result<std::vector<LogEntry>> LogReader::read_bundle(std::uint64_t from, std::size_t count) {
  const std::uint64_t bundle = (from - 1) / kTileWidth;
  const std::string name = tlog::bundle_path(bundle);
  auto content = folder_->read(name);
  if (!content && content.error().code == Code::not_found) {
    return fail(Code::not_found,
                fmt::format("record {} is no longer kept: neither in {} nor in the write-ahead log",
                            from, name),
                "audit_trimmed");
  }
  if (!content) return std::unexpected(std::move(content).error());
  const auto lines = tlog::parse_bundle(*content, kTileWidth);
  if (!lines) {
    return fail(Code::internal, fmt::format("{} is not a bundle of {} entries", name, kTileWidth),
                "audit_damaged");
  }
  auto personal = folder_->read(personal_path(bundle));
  if (!personal && personal.error().code != Code::not_found) {
    return std::unexpected(std::move(personal).error());
  }
  const auto sealed = personal ? tlog::parse_bundle(*personal, kTileWidth) : std::nullopt;
  if (personal && !sealed) {
    return fail(Code::internal,
                fmt::format("{} does not hold {} parts", personal_path(bundle), kTileWidth),
                "audit_damaged");
  }
  std::vector<LogEntry> entries;
  for (std::size_t i = (from - 1) % kTileWidth; i < kTileWidth && entries.size() < count; ++i) {
    entries.push_back({.sequence = bundle * kTileWidth + i + 1,
                       .line = std::string((*lines)[i]),
                       .sealed = sealed ? std::string((*sealed)[i]) : std::string()});
  }
  return entries;
}

Result<std::uint64_t> LogReader::first() {
  const auto wal_first = TRY(wal_.first());
  if (!wal_first || *wal_first == 1) return 1;
  // Retention removes whole bundles from the front.
  std::uint64_t low = 0;
  std::uint64_t high = (*wal_first - 1) / kTileWidth;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto kept = folder_->read_part(tlog::bundle_path(middle), 0, 1);
    if (!kept && kept.error().code != Code::not_found) return std::unexpected(kept.error());
    if (kept) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return std::min(low * kTileWidth + 1, *wal_first);
}

Result<std::uint64_t> LogReader::last() {
  if (last_known_ == 0) {
    const auto wal_first = TRY(wal_.first());
    if (!wal_first) return 0;
    last_known_ = *wal_first - 1;
  }
  for (;;) {
    auto more = wal_.read(last_known_ + 1, 4096);
    if (!more && more.error().code == Code::not_found) {  // it was pruned: begin again
      last_known_ = TRY(wal_.first()).value_or(1) - 1;
      continue;
    }
    if (!more) return std::unexpected(std::move(more).error());
    if (more->empty()) return last_known_;
    last_known_ = more->back().sequence;
  }
}

}  // namespace domicile::audit
