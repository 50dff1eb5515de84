#include "tlog/tile.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/check.h"

namespace domicile::tlog {
namespace {

constexpr std::string_view kTiles = "tile/";
constexpr std::string_view kEntries = "tile/entries/";
constexpr std::size_t kTilesKept = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::uint64_t> plain_number(std::string_view text, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

// "x001/x234/067" and then nothing, or ".p/W".
std::optional<TileId> parse_position(std::string_view text) {
  TileId tile;
  for (bool more = true, first = true; more; first = false) {
    more = text.starts_with('x');
    if (more) text.remove_prefix(1);
    if (text.size() < 3 || !std::all_of(text.begin(), text.begin() + 3, is_digit))
      return std::nullopt;
    const auto group =
        static_cast<std::uint64_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
    if (first && more && group == 0) return std::nullopt;
    if (tile.index > (UINT64_MAX - group) / 1000) return std::nullopt;
    tile.index = tile.index * 1000 + group;
    text.remove_prefix(3);
    if (!more) break;
    if (!text.starts_with('/')) return std::nullopt;
    text.remove_prefix(1);
  }
  if (tile.index >= std::uint64_t{1} << 56) return std::nullopt;
  if (text.empty()) return tile;
  if (!text.starts_with(".p/")) return std::nullopt;
  const auto width = plain_number(text.substr(3), kTileWidth - 1);
  if (!width || *width == 0) return std::nullopt;
  tile.width = static_cast<unsigned>(*width);
  return tile;
}

std::string position_path(std::uint64_t index, unsigned width) {
  CHECK(width > 0 && width <= kTileWidth);
  std::string path = index_path(index);
  if (width < kTileWidth) path += fmt::format(".p/{}", width);
  return path;
}

}  // namespace

std::string index_path(std::uint64_t index) {
  std::string path = fmt::format("{:03}", index % 1000);
  for (index /= 1000; index > 0; index /= 1000) path = fmt::format("x{:03}/{}", index % 1000, path);
  return path;
}

std::string tile_path(const TileId& tile) {
  return fmt::format("{}{}/{}", kTiles, tile.level, position_path(tile.index, tile.width));
}

std::string bundle_path(std::uint64_t index, unsigned width) {
  return std::string(kEntries) + position_path(index, width);
}

std::optional<TileId> parse_tile_path(std::string_view path) {
  if (!path.starts_with(kTiles)) return std::nullopt;
  path.remove_prefix(kTiles.size());
  const std::size_t slash = path.find('/');
  if (slash == path.npos) return std::nullopt;
  const auto level = plain_number(path.substr(0, slash), kTileLevelMax);
  auto tile = parse_position(path.substr(slash + 1));
  if (!level || !tile) return std::nullopt;
  tile->level = static_cast<unsigned>(*level);
  return tile;
}

std::optional<TileId> parse_bundle_path(std::string_view path) {
  if (!path.starts_with(kEntries)) return std::nullopt;
  return parse_position(path.substr(kEntries.size()));
}

unsigned tile_width(unsigned level, std::uint64_t index, std::uint64_t size) {
  const std::uint64_t hashes = size >> (kTileHeight * level);
  if (hashes / kTileWidth > index) return kTileWidth;
  return hashes / kTileWidth == index ? static_cast<unsigned>(hashes % kTileWidth) : 0;
}

std::vector<TileId> tiles_of(std::uint64_t size) {
  std::vector<TileId> tiles;
  for (unsigned level = 0; level <= kTileLevelMax && size >> (kTileHeight * level) > 0; ++level) {
    const std::uint64_t hashes = size >> (kTileHeight * level);
    for (std::uint64_t index = 0; index * kTileWidth < hashes; ++index) {
      tiles.push_back({level, index, tile_width(level, index, size)});
    }
  }
  return tiles;
}

std::string tile_bytes(std::span<const Hash> hashes) {
  std::string bytes;
  bytes.reserve(hashes.size() * sizeof(Hash));
  for (const Hash& hash : hashes) bytes += crypto::view(hash);
  return bytes;
}

std::optional<std::vector<Hash>> parse_tile(std::string_view bytes, unsigned width) {
  if (bytes.size() != width * sizeof(Hash)) return std::nullopt;
  std::vector<Hash> hashes(width);
  for (std::size_t i = 0; i < width; ++i) {
    std::copy_n(bytes.data() + i * sizeof(Hash), sizeof(Hash), hashes[i].data());
  }
  return hashes;
}

void append_entry(std::string& bundle, std::string_view entry) {
  CHECK(entry.size() <= kEntryBytesMax);
  bundle += static_cast<char>(entry.size() >> 8);
  bundle += static_cast<char>(entry.size() & 0xff);
  bundle += entry;
}

std::optional<std::vector<std::string_view>> parse_bundle(std::string_view bytes, unsigned count) {
  std::vector<std::string_view> entries;
  entries.reserve(count);
  while (entries.size() < count) {
    if (bytes.size() < 2) return std::nullopt;
    const std::size_t length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) << 8 |
                               static_cast<unsigned char>(bytes[1]);
    if (bytes.size() - 2 < length) return std::nullopt;
    entries.push_back(bytes.substr(2, length));
    bytes.remove_prefix(2 + length);
  }
  if (!bytes.empty()) return std::nullopt;
  return entries;
}

Hash tile_root(std::span<const Hash> hashes) {
  Frontier frontier;
  for (const Hash& hash : hashes) frontier.append(hash);
  return frontier.root();
}

SubtreeHash subtrees_from_tiles(std::uint64_t size, ReadTile read) {
  using Kept = std::map<std::pair<unsigned, std::uint64_t>, std::vector<Hash>>;
  auto kept = std::make_shared<Kept>();
  return [size, read = std::move(read), kept](unsigned level, std::uint64_t index) -> Result<Hash> {
    const unsigned tile_level = level / kTileHeight;
    const unsigned inside = level % kTileHeight;
    const std::uint64_t first = index << inside;
    const TileId tile{tile_level, first / kTileWidth,
                      tile_width(tile_level, first / kTileWidth, size)};
    const std::size_t offset = first % kTileWidth;
    const std::size_t count = std::size_t{1} << inside;
    if (offset + count > tile.width) {
      return fail(Code::invalid, fmt::format("a tree of {} entries has no complete subtree {}/{}",
                                             size, level, index));
    }
    auto at = kept->find({tile.level, tile.index});
    if (at == kept->end()) {
      auto hashes = parse_tile(TRY(read(tile)), tile.width);
      if (!hashes) {
        return fail(Code::invalid,
                    fmt::format("{} does not hold {} hashes", tile_path(tile), tile.width));
      }
      if (kept->size() >= kTilesKept) kept->clear();
      at = kept->emplace(std::pair(tile.level, tile.index), std::move(*hashes)).first;
    }
    return tile_root(std::span(at->second).subspan(offset, count));
  };
}

}  // namespace domicile::tlog
