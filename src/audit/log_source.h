// Where a verifier reads somebody's log from: a folder, or a URL below which it is served. Nothing
// that comes from here is believed until it was checked against a checkpoint.
//
// One thread at a time; clone() gives another thread its own.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tlog/tile.h"

namespace domicile::audit {

class LogSource {
 public:
  virtual ~LogSource() = default;
  // The bytes at `path` ("checkpoint", "tile/0/000"). Code::not_found: there are none.
  virtual Result<std::string> read(const std::string& path, std::size_t bytes_max) = 0;
  virtual std::unique_ptr<LogSource> clone() const = 0;
  // Null unless it is a folder.
  virtual const std::filesystem::path* folder() const { return nullptr; }
  virtual const std::string& name() const = 0;
};

// `place` is a folder, or a URL (https; http on this machine alone). `ca_file`: authorities for
// https, empty: the system's.
Result<std::unique_ptr<LogSource>> open_log_source(const std::string& place,
                                                   const std::filesystem::path& ca_file = {});

constexpr std::size_t kTileBytesMax = tlog::kTileWidth * sizeof(tlog::Hash);
constexpr std::size_t kBundleBytesMax = tlog::kTileWidth * (2 + tlog::kEntryBytesMax);

// A tile, or a bundle, at the width that a tree of some size has. A log may keep only the full one
// once it is complete: its first part is what is asked for.
Result<std::string> read_tile(LogSource& source, const tlog::TileId& tile);
Result<std::string> read_bundle(LogSource& source, std::uint64_t index, unsigned width);

}  // namespace domicile::audit
