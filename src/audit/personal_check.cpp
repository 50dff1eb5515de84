#include "audit/personal_check.h"

#include <fmt/format.h>

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;
using tlog::kTileWidth;

constexpr std::string_view kPersonal = "personal/";
constexpr std::string_view kEntries = "tile/entries/";
constexpr std::string_view kUnfinished = ".tmp";

class PersonalCheck {
 public:
  PersonalCheck(LogSource& source, std::uint64_t size, const PersonalVault* vault,
                const std::function<void(std::string)>& problem)
      : source_(source), size_(size), vault_(vault), problem_(problem) {}

  Result<void> look_at(const std::string& path) {
    if (path.ends_with(kUnfinished)) return {};
    const auto id = tlog::parse_bundle_path(std::string(kEntries) +
                                            path.substr(std::min(path.size(), kPersonal.size())));
    if (!id || id->width != kTileWidth) {
      problem_(fmt::format("{}: not a file of a log; move it away", path));
      return {};
    }
    if (tlog::tile_width(0, id->index, size_) < kTileWidth) return {};  // ahead of the checkpoint
    const auto content = source_.read(path, kBundleBytesMax);
    if (!content && content.error().code == Code::not_found) return {};  // removed meanwhile
    const auto parts = content ? tlog::parse_bundle(*content, kTileWidth) : std::nullopt;
    if (!parts) {
      problem_(fmt::format("{}: its bytes are not the sealed fields of 256 entries", path));
      return {};
    }
    const auto bundle = read_bundle(source_, id->index, kTileWidth);
    const auto lines = bundle ? tlog::parse_bundle(*bundle, kTileWidth) : std::nullopt;
    if (!lines) {
      problem_(fmt::format("{}: personal fields outlive their entries", path));
      return {};
    }
    for (std::size_t i = 0; i < kTileWidth; ++i) {
      if (!(*parts)[i].empty()) open(path, id->index * kTileWidth + i, (*lines)[i], (*parts)[i]);
    }
    return {};
  }

  PersonalReport report;

 private:
  void open(const std::string& path, std::uint64_t index, std::string_view line,
            std::string_view sealed) {
    ++report.sealed;
    if (vault_ == nullptr) return;
    const auto opened = vault_->open_event(line, sealed);
    if (!opened) {
      problem_(fmt::format("{}: the sealed fields of entry {} are not those it commits to", path,
                           index));
      return;
    }
    ++report.opened;
    report.withheld += opened->withheld;
  }

  LogSource& source_;
  const std::uint64_t size_;
  const PersonalVault* vault_;
  const std::function<void(std::string)>& problem_;
};

}  // namespace

Result<PersonalReport> check_personal(const fs::path& folder, LogSource& source, std::uint64_t size,
                                      const PersonalVault* vault,
                                      const std::function<void(std::string)>& problem) {
  PersonalCheck check(source, size, vault, problem);
  std::error_code error;
  fs::recursive_directory_iterator at(folder / "personal", error), end;
  while (!error && at != end) {
    std::error_code gone;
    if (!at->is_directory(gone)) {
      TRY(check.look_at(at->path().lexically_relative(folder).string()));
    }
    at.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Code::unavailable,
                fmt::format("cannot list {}: {}", (folder / "personal").string(), error.message()));
  }
  return check.report;
}

}  // namespace domicile::audit
