// The files of a log's folder beside those that a checkpoint's tree is made of: partial tiles of
// older checkpoints, whose bytes must be the beginning of what came later, tiles that no checkpoint
// covers yet, and what does not belong there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "audit/log_source.h"

namespace domicile::audit {

// `source` was verified at `size`. Counts into `ahead` the files beyond it.
Result<void> check_files(const std::filesystem::path& folder, LogSource& source, std::uint64_t size,
                         std::uint64_t& ahead, const std::function<void(std::string)>& problem);

}  // namespace domicile::audit
