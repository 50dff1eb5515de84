// C2SP tlog-tiles (https://c2sp.org/tlog-tiles): how a log's hashes and entries are cut into files
// that never change. A tile of level L holds up to 256 hashes, its hash number i being the subtree
// (8L, 256 * index + i) of the tree; an entry bundle holds the 256 entries of the level 0 tile of
// the same index, each behind its length in two bytes, big-endian. The rightmost tile of a level is
// partial: `width` hashes, under a name that says so. Full tiles have width 256.
//
// Pure and thread-safe. Paths are relative to the log's prefix, without a slash in front.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tlog/merkle.h"

namespace domicile::tlog {

constexpr unsigned kTileWidth = 256;
constexpr unsigned kTileHeight = 8;    // levels of the tree that a full tile covers
constexpr unsigned kTileLevelMax = 7;  // 256^8 = 2^64: no tree has more
constexpr std::size_t kEntryBytesMax = 65'535;

struct TileId {
  unsigned level = 0;
  std::uint64_t index = 0;
  unsigned width = kTileWidth;
  auto operator<=>(const TileId&) const = default;
};

std::string tile_path(const TileId& tile);                                  // tile/0/x001/234.p/7
std::string bundle_path(std::uint64_t index, unsigned width = kTileWidth);  // tile/entries/...
// 3-digit groups, all but the last with an x in front: 1234067 is x001/x234/067.
std::string index_path(std::uint64_t index);
// nullopt unless it is exactly what the functions above write.
std::optional<TileId> parse_tile_path(std::string_view path);
std::optional<TileId> parse_bundle_path(std::string_view path);  // level 0

// Of the tile (level, index) in a tree of `size` entries; 0: there is none.
unsigned tile_width(unsigned level, std::uint64_t index, std::uint64_t size);
// Every tile of a tree, level by level, the rightmost of each last. Grows with size / 256: for
// tests and small logs.
std::vector<TileId> tiles_of(std::uint64_t size);

std::string tile_bytes(std::span<const Hash> hashes);
// nullopt unless `bytes` holds exactly `width` hashes.
std::optional<std::vector<Hash>> parse_tile(std::string_view bytes, unsigned width);

void append_entry(std::string& bundle, std::string_view entry);  // at most kEntryBytesMax
// nullopt unless `bytes` holds exactly `count` entries; they point into `bytes`.
std::optional<std::vector<std::string_view>> parse_bundle(std::string_view bytes, unsigned count);

// The root of a tile's hashes: for a full tile what stands in the tile above.
Hash tile_root(std::span<const Hash> hashes);

// Subtrees of a tree of `size` entries from its tiles, at the width that this size has. `read`
// gives a tile's bytes; the last few tiles are kept. Nothing is checked: see verified readers.
using ReadTile = std::function<Result<std::string>(const TileId& tile)>;
SubtreeHash subtrees_from_tiles(std::uint64_t size, ReadTile read);

}  // namespace domicile::tlog
