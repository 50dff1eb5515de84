#include "audit/log_bundle.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "audit/event_line.h"
#include "tlog/text.h"

namespace domicile::audit {
namespace {

// What is wrong with the log is a finding; what is wrong with the way to it ends the verification.
bool is_finding(const Error& error) {
  return error.code == Code::not_found || error.code == Code::invalid;
}

// How many entries retention removed, by its own record; 0: the entry is no such record.
std::uint64_t trimmed_by(std::string_view line) {
  if (line.find("\"log.trimmed\"") == line.npos) return 0;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto text = [&](const char* at) {
    const nlohmann::json::json_pointer pointer(at);
    const bool is_text = json.contains(pointer) && json.at(pointer).is_string();
    return is_text ? json.at(pointer).get<std::string>() : std::string();
  };
  if (!json.is_object() || text("/metadata/event_code") != "log_changed" ||
      text("/unmapped/operation") != "log.trimmed" || text("/unmapped/outcome") != "allowed") {
    return 0;
  }
  const auto first_kept = tlog::parse_decimal(text("/unmapped/details/first_kept"));
  return first_kept && *first_kept > 0 ? *first_kept - 1 : 0;
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
  if (!records) return out;
  out.misplaced = first_misplaced(*entries, index * tlog::kTileWidth);
  for (const auto entry : *entries) out.trimmed = std::max(out.trimmed, trimmed_by(entry));
  return out;
}

}  // namespace domicile::audit
