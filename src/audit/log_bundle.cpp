#include "audit/log_bundle.h"

#include <algorithm>

#include "audit/event_line.h"

namespace domicile::audit {
namespace {

// What is wrong with the log is a finding; what is wrong with the way to it ends the verification.
bool is_finding(const Error& error) {
  return error.code == Code::not_found || error.code == Code::invalid;
}

std::optional<std::size_t> first_misplaced(const std::vector<std::string_view>& entries,
                                           std::uint64_t first_index) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto frame = parse_line(entries[i]);
    if (!frame || frame->sequence != first_index + i + 1) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<BundleCheck> check_bundle(LogSource& source, std::uint64_t index, unsigned width,
                                 bool records) {
  BundleCheck out{.index = index};
  const auto bundle = read_bundle(source, index, width);
  const auto tile = read_tile(source, {0, index, width});
  if (!bundle && !is_finding(bundle.error())) return std::unexpected(bundle.error());
  if (!tile && !is_finding(tile.error())) return std::unexpected(tile.error());
  const auto entries = bundle ? tlog::parse_bundle(*bundle, width) : std::nullopt;
  const auto hashes = tile ? tlog::parse_tile(*tile, width) : std::nullopt;
  if (!hashes) out.tile_missing = tile ? "it does not have its length" : tile.error().message;
  if (!entries) {
    out.bundle_missing = bundle ? "its bytes are not its entries" : bundle.error().message;
    out.bundle_absent = !bundle && bundle.error().code == Code::not_found;
    if (hashes) out.leaves = *hashes;
    out.readable = hashes.has_value();
    return out;
  }
  out.leaves.reserve(width);
  for (const auto entry : *entries) {
    out.leaves.push_back(tlog::leaf_hash(entry));
    out.bytes += entry.size();
  }
  out.readable = true;
  if (hashes && *hashes != out.leaves) {
    const auto at = std::ranges::mismatch(*hashes, out.leaves).in1;
    out.difference = static_cast<std::size_t>(at - hashes->begin());
  }
  if (records) out.misplaced = first_misplaced(*entries, index * tlog::kTileWidth);
  return out;
}

}  // namespace domicile::audit
