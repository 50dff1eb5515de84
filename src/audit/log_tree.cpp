#include "audit/log_tree.h"

#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace domicile::audit {

using tlog::kTileHeight;
using tlog::kTileWidth;

std::string personal_path(std::uint64_t bundle) { return "personal/" + tlog::index_path(bundle); }

Result<LogTree> LogTree::restore(std::uint64_t size, const tlog::ReadTile& read) {
  LogTree tree;
  const auto subtrees = TRY(tlog::subtrees_of(size, tlog::subtrees_from_tiles(size, read)));
  tree.frontier_ = TRY(tlog::Frontier::restore(size, subtrees));
  for (unsigned level = 0; level < tree.levels_.size(); ++level) {
    const std::uint64_t index = (size >> (kTileHeight * level)) / kTileWidth;
    const unsigned width = tlog::tile_width(level, index, size);
    if (width == 0) continue;
    const tlog::TileId tile{level, index, width};
    auto hashes = tlog::parse_tile(TRY(read(tile)), width);
    if (!hashes) {
      return fail(Code::internal,
                  fmt::format("{} does not hold {} hashes", tlog::tile_path(tile), width),
                  "audit_damaged");
    }
    tree.levels_[level] = {.hashes = std::move(*hashes), .given_out = width};
  }
  return tree;
}

Result<void> LogTree::refill(std::string_view entry, std::string_view sealed) {
  const auto& leaves = levels_[0].hashes;
  CHECK(refilled_ < leaves.size());
  if (tlog::leaf_hash(entry) != leaves[refilled_]) {
    return fail(Code::internal,
                fmt::format("record {} is not the one that the published tree holds",
                            bundled() + refilled_ + 1),
                "audit_damaged");
  }
  tlog::append_entry(bundle_, entry);
  tlog::append_entry(personal_, sealed);
  any_sealed_ = any_sealed_ || !sealed.empty();
  ++refilled_;
  return {};
}

void LogTree::append(std::string_view entry, std::string_view sealed, TreeFiles& out) {
  const std::uint64_t bundle = size() / kTileWidth;
  const tlog::Hash leaf = tlog::leaf_hash(entry);
  frontier_.append(leaf);
  tlog::append_entry(bundle_, entry);
  tlog::append_entry(personal_, sealed);
  any_sealed_ = any_sealed_ || !sealed.empty();
  if (size() % kTileWidth == 0) {
    out.files.push_back({tlog::bundle_path(bundle), std::exchange(bundle_, {})});
    if (levels_[0].given_out > 0) out.obsolete.push_back(tlog::bundle_path(bundle) + ".p");
    if (any_sealed_) out.files.push_back({personal_path(bundle), personal_});
    personal_.clear();
    any_sealed_ = false;
  }
  add_hash(0, leaf, out);
}

void LogTree::add_hash(unsigned level, const tlog::Hash& hash, TreeFiles& out) {
  Level& here = levels_[level];
  here.hashes.push_back(hash);
  if (here.hashes.size() < kTileWidth) return;
  const std::uint64_t index = (size() >> (kTileHeight * level)) / kTileWidth - 1;
  const tlog::TileId tile{level, index, kTileWidth};
  out.files.push_back({tlog::tile_path(tile), tlog::tile_bytes(here.hashes)});
  if (here.given_out > 0) out.obsolete.push_back(tlog::tile_path(tile) + ".p");
  const tlog::Hash above = tlog::tile_root(here.hashes);
  here = {};
  add_hash(level + 1, above, out);
}

void LogTree::partials(TreeFiles& out) {
  for (unsigned level = 0; level < levels_.size(); ++level) {
    Level& here = levels_[level];
    if (here.hashes.size() == here.given_out) continue;
    const std::uint64_t index = (size() >> (kTileHeight * level)) / kTileWidth;
    const auto width = static_cast<unsigned>(here.hashes.size());
    out.files.push_back({tlog::tile_path({level, index, width}), tlog::tile_bytes(here.hashes)});
    if (level == 0) out.files.push_back({tlog::bundle_path(index, width), bundle_});
    here.given_out = here.hashes.size();
  }
}

}  // namespace domicile::audit
