// A dump's manifest names tables, columns and files: whatever is accepted can be written again, is
// the same then, names files of the dump's own folder alone, and can be quoted.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "pg/connection.h"
#include "store/dump_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = domicile::store::parse_dump_manifest(text);
  if (!manifest) return 0;
  for (const auto& table : manifest->tables) {
    CHECK(table.file.starts_with("data/") && table.file.find('/', 5) == std::string::npos);
    (void)domicile::pg::quote_identifier(table.name.name);
    for (const auto& column : table.columns) (void)domicile::pg::quote_identifier(column);
  }
  const std::string written = to_json(*manifest);
  const auto again = domicile::store::parse_dump_manifest(written);
  CHECK(again && to_json(*again) == written);
  return 0;
}
