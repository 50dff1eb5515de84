#include "audit/verified_tree.h"

#include <bit>

namespace domicile::audit {

using tlog::Hash;
using tlog::kTileWidth;

Result<void> VerifiedTree::add_bundle(std::optional<Hash> tile_root) {
  ++bundles_;
  return push(1, tile_root);
}

Result<void> VerifiedTree::push(unsigned level, std::optional<Hash> hash) {
  if (levels_.size() < level) levels_.emplace_back();
  levels_[level - 1].hashes.push_back(hash);
  if (levels_[level - 1].hashes.size() < kTileWidth) return {};
  TRY(compare(level));
  std::vector<Hash> whole;
  for (const auto& known : levels_[level - 1].hashes) {
    if (known) whole.push_back(*known);
  }
  levels_[level - 1].hashes.clear();
  ++levels_[level - 1].index;
  return push(level + 1,
              whole.size() == kTileWidth ? std::optional(tlog::tile_root(whole)) : std::nullopt);
}

// Holds the tile against the log's, and learns from it what could not be read below.
Result<void> VerifiedTree::compare(unsigned level) {
  Level& mine = levels_[level - 1];
  const auto width = static_cast<unsigned>(mine.hashes.size());
  if (width == 0) return {};
  const tlog::TileId id{level, mine.index, width};
  const auto bytes = read_tile(source_, id);
  if (!bytes && bytes.error().code != Code::not_found && bytes.error().code != Code::invalid) {
    return std::unexpected(bytes.error());
  }
  const auto theirs = bytes ? tlog::parse_tile(*bytes, width) : std::nullopt;
  ++tiles_;
  if (!theirs) {
    faults_.push_back({id, bytes ? "it does not have its length" : bytes.error().message});
    return {};
  }
  bool differs = false;
  for (std::size_t i = 0; i < width; ++i) {
    if (!mine.hashes[i]) mine.hashes[i] = (*theirs)[i];
    if (!differs && *mine.hashes[i] != (*theirs)[i]) {
      differs = true;
      faults_.push_back({id, "", i});
    }
  }
  return {};
}

Result<void> VerifiedTree::finish() {
  for (unsigned level = 1; level <= levels_.size(); ++level) TRY(compare(level));
  return {};
}

std::optional<Hash> VerifiedTree::root(std::span<const Hash> rest) const {
  const std::uint64_t size = bundles_ * kTileWidth + rest.size();
  // A size is made of subtrees that all lie in the partial tiles, which are what is kept here.
  const auto subtree = [&](unsigned level, std::uint64_t index) -> Result<Hash> {
    const unsigned tile_level = level / tlog::kTileHeight;
    const unsigned inside = level % tlog::kTileHeight;
    const std::size_t first = (index << inside) % kTileWidth;
    const std::size_t count = std::size_t{1} << inside;
    if (tile_level == 0) return tlog::tile_root(rest.subspan(first, count));
    std::vector<Hash> hashes;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& known = levels_[tile_level - 1].hashes[first + i];
      if (!known) return fail(Code::invalid, "unknown");
      hashes.push_back(*known);
    }
    return tlog::tile_root(hashes);
  };
  const auto root = tlog::root_of(size, subtree);
  return root ? std::optional(*root) : std::nullopt;
}

}  // namespace domicile::audit
