// The tree of a log, built again from its entries' hashes, in order, tile by tile: each tile that
// becomes complete is compared with the one the log holds, and its hash goes into the level above.
// The root at the end is that of the entries, whatever the log's tiles say. Holds one tile a level.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/log_source.h"
#include "tlog/merkle.h"
#include "tlog/tile.h"

namespace domicile::audit {

// A tile that the log lacks, or that is not what the entries give.
struct TileFault {
  tlog::TileId tile;
  std::string missing;         // why it cannot be read; empty: it differs
  std::size_t first_hash = 0;  // that differs
};

class VerifiedTree {
 public:
  explicit VerifiedTree(LogSource& source) : source_(source) {}

  // The level 0 tile's hash, for a bundle of 256; nullopt: its entries cannot be read. What the
  // tile above says is then taken instead.
  Result<void> add_bundle(std::optional<tlog::Hash> tile_root);
  // The last bundle, of fewer; then nothing more.
  void add_rest(std::vector<tlog::Hash> leaves) { rest_ = std::move(leaves); }
  // Compares the partial tiles.
  Result<void> finish();

  std::uint64_t bundles() const { return bundles_; }
  std::uint64_t tiles() const { return tiles_; }  // compared so far
  std::vector<TileFault>& faults() { return faults_; }

  // Of the bundles so far and `rest` (fewer than 256 leaves). All of them could be read.
  std::optional<tlog::Hash> root(std::span<const tlog::Hash> rest) const;
  std::optional<tlog::Hash> root() const { return root(rest_); }

 private:
  struct Level {
    std::vector<std::optional<tlog::Hash>> hashes;
    std::uint64_t index = 0;  // of the tile that these belong to
  };
  Result<void> push(unsigned level, std::optional<tlog::Hash> hash);
  Result<void> compare(unsigned level);

  LogSource& source_;
  std::vector<Level> levels_;  // the first is tile level 1
  std::vector<tlog::Hash> rest_;
  std::uint64_t bundles_ = 0;
  std::uint64_t tiles_ = 0;
  std::vector<TileFault> faults_;
};

}  // namespace domicile::audit
