#include "tlog/tile.h"

#include <map>

#include <gtest/gtest.h>

#include "tlog/naive_tree.h"

namespace domicile::tlog {
namespace {

TEST(Tile, PathsAreTheSpecifications) {
  EXPECT_EQ(index_path(1'234'067), "x001/x234/067");
  EXPECT_EQ(tile_path({0, 1'234'067, 256}), "tile/0/x001/x234/067");
  EXPECT_EQ(tile_path({2, 5, 17}), "tile/2/005.p/17");
  EXPECT_EQ(bundle_path(999), "tile/entries/999");
  EXPECT_EQ(bundle_path(1000, 1), "tile/entries/x001/000.p/1");
  for (const TileId tile : {TileId{0, 0, 256}, TileId{1, 999, 255}, TileId{7, 1000, 1},
                            TileId{3, (std::uint64_t{1} << 56) - 1, 256}}) {
    EXPECT_EQ(parse_tile_path(tile_path(tile)), tile);
    EXPECT_EQ(parse_bundle_path(bundle_path(tile.index, tile.width)),
              (TileId{0, tile.index, tile.width}));
  }
}

TEST(Tile, OnlyTheOneFormOfAPathIsRead) {
  for (const char* path : {"",
                           "tile",
                           "tile/",
                           "tile/0",
                           "tile/0/",
                           "tile/0/1",
                           "tile/0/01",
                           "tile/0/0001",
                           "tile/8/000",
                           "tile/00/000",
                           "tile/-1/000",
                           "tile/0/x000/001",
                           "tile/0/x001",
                           "tile/0/x001/",
                           "tile/0/001/",
                           "tile/0/001/002",
                           "tile/0/000.p",
                           "tile/0/000.p/",
                           "tile/0/000.p/0",
                           "tile/0/000.p/256",
                           "tile/0/000.p/01",
                           "tile/0/000.p/1/",
                           "tile/0/+01",
                           "tile/0/../000",
                           "/tile/0/000",
                           "tile/entries/000",
                           "tile/0/x999/x999/x999/x999/x999/x999/999",
                           "tile/0/x001/x234/06a"}) {
    EXPECT_FALSE(parse_tile_path(path)) << path;
  }
  EXPECT_FALSE(parse_bundle_path("tile/0/000"));
  EXPECT_FALSE(parse_bundle_path("tile/entries/000.p/256"));
}

TEST(Tile, WidthsAtTheEdges) {
  EXPECT_EQ(tile_width(0, 0, 0), 0u);
  EXPECT_EQ(tile_width(0, 0, 255), 255u);
  EXPECT_EQ(tile_width(0, 0, 256), 256u);
  EXPECT_EQ(tile_width(0, 1, 256), 0u);
  EXPECT_EQ(tile_width(1, 0, 256), 1u);
  EXPECT_EQ(tile_width(1, 0, 65'535), 255u);
  EXPECT_EQ(tile_width(1, 0, 65'536), 256u);
  EXPECT_EQ(tile_width(2, 0, 65'536), 1u);
  EXPECT_EQ(tile_width(7, 0, UINT64_MAX), 255u);
  EXPECT_EQ(tiles_of(0).size(), 0u);
  EXPECT_EQ(tiles_of(257).size(), 3u);
}

// Tiles of a whole tree, built bottom up from the leaves' hashes.
std::map<std::string, std::string> tiles_in(const std::vector<Hash>& leaves) {
  std::map<std::string, std::string> files;
  std::vector<Hash> level_hashes = leaves;
  for (const TileId& tile : tiles_of(leaves.size())) {
    if (tile.index == 0 && tile.level > 0) {
      std::vector<Hash> above;
      for (std::size_t i = 0; i + kTileWidth <= level_hashes.size(); i += kTileWidth) {
        above.push_back(tile_root(std::span(level_hashes).subspan(i, kTileWidth)));
      }
      level_hashes = above;
    }
    files[tile_path(tile)] =
        tile_bytes(std::span(level_hashes).subspan(tile.index * kTileWidth, tile.width));
  }
  return files;
}

TEST(Tile, ATreeFromItsTilesIsTheTree) {
  std::vector<Hash> leaves;
  Frontier frontier;
  for (std::uint64_t i = 0; i < 65'540; ++i) leaves.push_back(leaf_hash(NaiveTree::entry(i)));
  std::size_t next = 0;
  for (const std::uint64_t size : {1u, 2u, 3u, 255u, 256u, 257u, 511u, 512u, 513u, 2000u, 65'279u,
                                   65'280u, 65'535u, 65'536u, 65'537u, 65'540u}) {
    while (next < size) frontier.append(leaves[next++]);
    const auto files = tiles_in({leaves.begin(), leaves.begin() + static_cast<long>(size)});
    const auto subtrees = subtrees_from_tiles(size, [&](const TileId& tile) -> Result<std::string> {
      const auto at = files.find(tile_path(tile));
      if (at == files.end()) return fail(Code::not_found, tile_path(tile));
      return at->second;
    });
    const Hash root = frontier.root();
    EXPECT_EQ(root_of(size, subtrees).value(), root) << size;
    for (const std::uint64_t index : {std::uint64_t{0}, size / 3, size - 1}) {
      const auto proof = inclusion_proof(index, size, subtrees).value();
      EXPECT_TRUE(verify_inclusion(index, size, leaves[index], proof, root)) << size;
    }
  }
}

TEST(Tile, BundlesAreReadWholeOrNotAtAll) {
  std::string bundle;
  append_entry(bundle, "one");
  append_entry(bundle, "");
  append_entry(bundle, std::string(kEntryBytesMax, 'x'));
  const auto entries = parse_bundle(bundle, 3);
  ASSERT_TRUE(entries);
  EXPECT_EQ((*entries)[0], "one");
  EXPECT_EQ((*entries)[1], "");
  EXPECT_EQ((*entries)[2].size(), kEntryBytesMax);
  EXPECT_FALSE(parse_bundle(bundle, 2));
  EXPECT_FALSE(parse_bundle(bundle, 4));
  EXPECT_FALSE(parse_bundle(bundle.substr(0, bundle.size() - 1), 3));
  EXPECT_FALSE(parse_bundle(bundle + "x", 3));
  EXPECT_FALSE(parse_tile("short", 1));
}

}  // namespace
}  // namespace domicile::tlog
