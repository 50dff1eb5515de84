// One bundle of entries, held against its tile of hashes: what a verifier's threads do, each for
// itself, with most of the work in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_source.h"
#include "tlog/merkle.h"

namespace domicile::audit {

struct BundleCheck {
  std::uint64_t index = 0;
  std::uint64_t bytes = 0;                // of its entries
  std::vector<tlog::Hash> leaves;         // of the entries, or of the tile where those are missing
  bool readable = false;                  // `leaves` are known
  std::string bundle_missing;             // why it cannot be read; empty: it was
  bool bundle_absent = false;             // there is no such file
  std::string tile_missing;               // the same for the tile
  std::optional<std::size_t> difference;  // the first entry that is not what the tile says
  // The first entry that is not the record of its place (event_line.h).
  std::optional<std::size_t> misplaced;
  // So many entries of the front were removed, as a record of these says (log.trimmed).
  std::uint64_t trimmed = 0;
};

// `records`: entries are framed event lines, entry N with sequence N + 1. An error is of the source
// (unreachable), not of the log.
Result<BundleCheck> check_bundle(LogSource& source, std::uint64_t index, unsigned width,
                                 bool records);

}  // namespace domicile::audit
