// Any bytes as a tile, a bundle and a path: refused, or exactly what we would write.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "tlog/tile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto tile = tlog::parse_tile_path(bytes)) CHECK(tlog::tile_path(*tile) == bytes);
  if (const auto bundle = tlog::parse_bundle_path(bytes)) {
    CHECK(tlog::bundle_path(bundle->index, bundle->width) == bytes);
  }
  if (size == 0) return 0;
  const unsigned width = data[0] + 1u;
  const std::string_view rest = bytes.substr(1);
  if (const auto hashes = tlog::parse_tile(rest, width)) {
    CHECK(hashes->size() == width && tlog::tile_bytes(*hashes) == rest);
  }
  if (const auto entries = tlog::parse_bundle(rest, width)) {
    std::string again;
    for (const auto entry : *entries) tlog::append_entry(again, entry);
    CHECK(entries->size() == width && again == rest);
  }
  return 0;
}
