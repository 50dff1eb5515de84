// Which of a log's files is the one that was changed. Every tile's hashes lead, through the tile
// above, to the root that the checkpoint signs; so a tile that does is as it was signed, and what
// contradicts it is not. For the few places where two files disagree, after the whole log was
// hashed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_source.h"
#include "tlog/checkpoint.h"

namespace domicile::audit {

class LogDamage {
 public:
  LogDamage(LogSource& source, const tlog::Checkpoint& checkpoint)
      : source_(source), checkpoint_(checkpoint) {}

  // The tile, at the width the checkpoint's tree has, is what the checkpoint commits to.
  bool is_committed(unsigned level, std::uint64_t index);

 private:
  using Hashes = std::optional<std::vector<tlog::Hash>>;
  const Hashes& tile(unsigned level, std::uint64_t index);
  bool edge_is_committed();

  LogSource& source_;
  const tlog::Checkpoint& checkpoint_;
  std::map<std::pair<unsigned, std::uint64_t>, Hashes> tiles_;
  std::optional<bool> edge_;
};

}  // namespace domicile::audit
