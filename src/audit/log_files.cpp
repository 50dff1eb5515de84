#include "audit/log_files.h"

#include <fmt/format.h>

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;

// "tile/0/000.tmp" lies beside "tile/0/000" while that is written, and stays after a crash.
constexpr std::string_view kUnfinished = ".tmp";

class FileCheck {
 public:
  FileCheck(LogSource& source, std::uint64_t size, std::uint64_t& ahead,
            const std::function<void(std::string)>& problem)
      : source_(source), size_(size), ahead_(ahead), problem_(problem) {}

  Result<void> look_at(const std::string& path) {
    if (path.ends_with(kUnfinished)) return {};
    const auto bundle = tlog::parse_bundle_path(path);
    const auto id = bundle ? bundle : tlog::parse_tile_path(path);
    if (!id) {
      problem_(fmt::format("{}: not a file of a log; move it away", path));
      return {};
    }
    const unsigned width = tlog::tile_width(id->level, id->index, size_);
    if (id->width > width) {
      ++ahead_;
      return {};
    }
    if (id->width == width) return {};  // compared with the entries already
    const auto kept = source_.read(path, kBundleBytesMax);
    if (!kept && kept.error().code == Code::not_found) return {};  // removed meanwhile
    const auto whole = bundle ? read_bundle(source_, id->index, width)
                              : read_tile(source_, {id->level, id->index, width});
    if (!whole) return {};  // a problem of its own
    const bool fits = kept && (bundle ? bundle_starts(*whole, *kept, width, id->width)
                                      : kept->size() == id->width * sizeof(tlog::Hash) &&
                                            whole->starts_with(*kept));
    if (!fits) problem_(fmt::format("{}: was changed: it is not what came to be", path));
    return {};
  }

 private:
  static bool bundle_starts(std::string_view whole, std::string_view kept, unsigned width,
                            unsigned count) {
    return whole.starts_with(kept) && tlog::parse_bundle(kept, count) &&
           tlog::parse_bundle(whole, width);
  }

  LogSource& source_;
  std::uint64_t size_;
  std::uint64_t& ahead_;
  const std::function<void(std::string)>& problem_;
};

}  // namespace

Result<void> check_files(const fs::path& folder, LogSource& source, std::uint64_t size,
                         std::uint64_t& ahead, const std::function<void(std::string)>& problem) {
  FileCheck check(source, size, ahead, problem);
  std::error_code error;
  fs::recursive_directory_iterator at(folder / "tile", error), end;
  while (!error && at != end) {
    std::error_code gone;
    if (!at->is_directory(gone)) TRY(check.look_at(at->path().lexically_relative(folder).string()));
    at.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Code::unavailable,
                fmt::format("cannot list {}: {}", (folder / "tile").string(), error.message()));
  }
  return {};
}

}  // namespace domicile::audit
