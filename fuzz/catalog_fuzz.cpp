// The catalog file is written by people and merged by programs: whatever the bytes, parsing ends in
// a catalog or in problems with a place, and a catalog that parses survives writing and merging
// unchanged.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "catalog/catalog.h"
#include "catalog/merge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::catalog;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto step = parse_path_step(text); step) {
    const auto again = parse_path_step(to_string(*step));
    CHECK(again && *again == *step);
  }
  const auto catalog = parse_catalog(text, "fuzz.toml");
  if (!catalog) {
    CHECK(!problems_of(text).empty());
    CHECK(!catalog.error().message.empty());
    return 0;
  }
  CHECK(validate(*catalog).empty());
  const std::string written = to_toml(*catalog);
  const auto again = parse_catalog(written, "again.toml");
  CHECK(again && to_toml(*again) == written);
  const auto merged = merge_into(text, *catalog, *catalog);
  CHECK(!merged || to_toml(*parse_catalog(*merged, "merged.toml")) == written);
  return 0;
}
