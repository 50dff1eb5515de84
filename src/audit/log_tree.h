// The tree of a growing log as files: what is to be written when entries come. Pure; the disk is
// log_integrator.h's affair.
//
// A full tile or bundle is given out once, when its last hash comes; partial ones when a checkpoint
// of the present size is to be published. What a full one makes obsolete, the folder of its partial
// versions, is named so that it can be removed once the full one is durable.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audit/storage.h"
#include "tlog/tile.h"

namespace domicile::audit {

std::string personal_path(std::uint64_t bundle);  // personal/x001/234

struct TreeFiles {
  std::vector<NamedBytes> files;
  std::vector<std::string> obsolete;  // folders
};

class LogTree {
 public:
  LogTree() = default;
  // The tree of `size` entries from its tiles, complete but for the entries of the bundle that is
  // not full: those come by refill(), in order, before anything is appended.
  static Result<LogTree> restore(std::uint64_t size, const tlog::ReadTile& read);

  // An entry that the restored tree holds already. Code::internal, reason "audit_damaged": it is
  // another one.
  Result<void> refill(std::string_view entry, std::string_view sealed);
  void append(std::string_view entry, std::string_view sealed, TreeFiles& out);
  // The rightmost tiles of the present size, but for those given out before.
  void partials(TreeFiles& out);

  std::uint64_t size() const { return frontier_.size(); }
  // Entries of full bundles.
  std::uint64_t bundled() const { return size() / tlog::kTileWidth * tlog::kTileWidth; }
  tlog::Hash root() const { return frontier_.root(); }

 private:
  struct Level {
    std::vector<tlog::Hash> hashes;  // of the rightmost tile; never full
    std::size_t given_out = 0;       // of them, in a partial tile
  };
  void add_hash(unsigned level, const tlog::Hash& hash, TreeFiles& out);

  tlog::Frontier frontier_;
  std::array<Level, tlog::kTileLevelMax + 1> levels_;
  std::string bundle_;    // entries of the rightmost level 0 tile
  std::string personal_;  // and their sealed fields, in the same form
  bool any_sealed_ = false;
  std::size_t refilled_ = 0;
};

}  // namespace domicile::audit
