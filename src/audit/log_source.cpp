#include "audit/log_source.h"

#include <fmt/format.h>

#include "base/file.h"
#include "http/client.h"

namespace domicile::audit {
namespace {

class FolderSource final : public LogSource {
 public:
  explicit FolderSource(std::filesystem::path folder)
      : folder_(std::move(folder)), name_(folder_.string()) {}

  Result<std::string> read(const std::string& path, std::size_t bytes_max) override {
    const auto file = folder_ / path;
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      return fail(Code::invalid, fmt::format("{} is not a file", file.string()));
    }
    return read_file(file, bytes_max);
  }
  std::unique_ptr<LogSource> clone() const override {
    return std::make_unique<FolderSource>(folder_);
  }
  const std::filesystem::path* folder() const override { return &folder_; }
  const std::string& name() const override { return name_; }

 private:
  std::filesystem::path folder_;
  std::string name_;
};

class UrlSource final : public LogSource {
 public:
  UrlSource(std::string url, std::filesystem::path ca_file)
      : url_(std::move(url)), ca_file_(std::move(ca_file)), client_({.ca_file = ca_file_}) {}

  Result<std::string> read(const std::string& path, std::size_t bytes_max) override {
    auto response = TRY(client_.send({.url = url_ + "/" + path, .body_bytes_max = bytes_max}));
    if (response.status == 200) return std::move(response.body);
    if (response.status == 404 || response.status == 410) {
      return fail(Code::not_found,
                  fmt::format("{}/{} is not there ({})", url_, path, response.status));
    }
    return fail(Code::unavailable, fmt::format("{}/{} answers {}", url_, path, response.status));
  }
  std::unique_ptr<LogSource> clone() const override {
    return std::make_unique<UrlSource>(url_, ca_file_);
  }
  const std::string& name() const override { return url_; }

 private:
  std::string url_;
  std::filesystem::path ca_file_;
  http::Client client_;
};

// The first `count` entries of a full bundle.
Result<std::string> bundle_prefix(std::string bytes, unsigned count, std::string_view path) {
  const auto entries = tlog::parse_bundle(bytes, tlog::kTileWidth);
  if (!entries) return fail(Code::invalid, fmt::format("{} does not hold 256 entries", path));
  const auto& last = (*entries)[count - 1];
  bytes.resize(static_cast<std::size_t>(last.data() + last.size() - bytes.data()));
  return bytes;
}

}  // namespace

Result<std::unique_ptr<LogSource>> open_log_source(const std::string& place,
                                                   const std::filesystem::path& ca_file) {
  if (place.starts_with("http://") || place.starts_with("https://")) {
    std::string url = place;
    while (url.ends_with('/')) url.pop_back();
    return std::make_unique<UrlSource>(std::move(url), ca_file);
  }
  if (!std::filesystem::is_directory(place)) {
    return fail(Code::not_found,
                fmt::format("{} is neither a folder nor an http(s) address", place));
  }
  return std::make_unique<FolderSource>(place);
}

Result<std::string> read_tile(LogSource& source, const tlog::TileId& tile) {
  auto bytes = source.read(tlog::tile_path(tile), kTileBytesMax);
  if (bytes || bytes.error().code != Code::not_found || tile.width == tlog::kTileWidth) {
    return bytes;
  }
  auto full = source.read(tlog::tile_path({tile.level, tile.index}), kTileBytesMax);
  if (!full) return bytes;  // the file that was asked for is the one that is missing
  full->resize(std::min(full->size(), tile.width * sizeof(tlog::Hash)));
  return full;
}

Result<std::string> read_bundle(LogSource& source, std::uint64_t index, unsigned width) {
  auto bytes = source.read(tlog::bundle_path(index, width), kBundleBytesMax);
  if (bytes || bytes.error().code != Code::not_found || width == tlog::kTileWidth) return bytes;
  auto full = source.read(tlog::bundle_path(index), kBundleBytesMax);
  if (!full) return bytes;
  return bundle_prefix(std::move(*full), width, tlog::bundle_path(index));
}

}  // namespace domicile::audit
