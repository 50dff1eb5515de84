#include "audit/log_damage.h"

namespace domicile::audit {
namespace {

constexpr std::size_t kTilesKept = 1024;

}  // namespace

const LogDamage::Hashes& LogDamage::tile(unsigned level, std::uint64_t index) {
  const auto at = tiles_.find({level, index});
  if (at != tiles_.end()) return at->second;
  const tlog::TileId id{level, index, tlog::tile_width(level, index, checkpoint_.size)};
  const auto bytes = id.width == 0 ? std::nullopt : std::optional(read_tile(source_, id));
  Hashes hashes;
  if (bytes && *bytes) hashes = tlog::parse_tile(**bytes, id.width);
  if (tiles_.size() >= kTilesKept) tiles_.clear();
  return tiles_.emplace(std::pair(level, index), std::move(hashes)).first->second;
}

// The partial tiles, one a level, are together what the root is made of.
bool LogDamage::edge_is_committed() {
  if (edge_) return *edge_;
  const auto root = tlog::root_of(
      checkpoint_.size, tlog::subtrees_from_tiles(checkpoint_.size, [&](const tlog::TileId& id) {
        return read_tile(source_, id);
      }));
  edge_ = root && *root == checkpoint_.root;
  return *edge_;
}

bool LogDamage::is_committed(unsigned level, std::uint64_t index) {
  for (;; ++level, index /= tlog::kTileWidth) {
    const Hashes hashes = tile(level, index);
    if (!hashes) return false;
    if (hashes->size() < tlog::kTileWidth) return edge_is_committed();
    const Hashes& above = tile(level + 1, index / tlog::kTileWidth);
    if (!above || (*above)[index % tlog::kTileWidth] != tlog::tile_root(*hashes)) return false;
  }
}

}  // namespace domicile::audit
