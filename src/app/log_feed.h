// The log of a folder, as the index's loader reads it: entries from any sequence on, also while the
// node writes. What is not yet known to be durable is not given out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "audit/personal_vault.h"
#include "logindex/index_store.h"

namespace domicile::app {

// The last sequence that is durable; empty: everything whole in the folder (no node writes to it).
using LastDurable = std::function<std::uint64_t()>;
Result<logindex::Feed> log_feed(const std::filesystem::path& directory,
                                LastDurable last_durable = {});

// Persons opened where the vault still can; an entry that cannot be opened is indexed without them.
// `vault` outlives it.
logindex::Opener opener_of(const audit::PersonalVault& vault);

}  // namespace domicile::app
