// Files as whole values. Errors name the path and the remedy. write_file_atomic() leaves either the
// old content or the new one, also after power loss: temporary file, fsync, rename, fsync of the
// folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace domicile {

// At most `limit_bytes`; a larger file is refused (Code::invalid).
Result<std::string> read_file(const std::filesystem::path& path,
                              std::size_t limit_bytes = 64u << 20);

// Refuses a file that others may read (mode & 077), and drops one trailing newline.
Result<Secret> read_secret_file(const std::filesystem::path& path);

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content,
                               unsigned mode = 0644);

}  // namespace domicile
