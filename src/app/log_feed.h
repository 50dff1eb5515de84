// The log of a folder, as the index's loader reads it: entries from any sequence on, also while the
// node writes. What is not yet known to be durable is not given out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "logindex/index_store.h"

namespace domicile::app {

// The last sequence that is durable; empty: everything whole in the folder (no node writes to it).
using LastDurable = std::function<std::uint64_t()>;
Result<logindex::Feed> log_feed(const std::filesystem::path& directory,
                                LastDurable last_durable = {});

}  // namespace domicile::app
