// Catalog text that is edited in place: never another catalog than the one that was meant.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "catalog/edit_mode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::catalog;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto before = parse_catalog(text, "fuzz");
  if (!before || before->tables.empty()) return 0;
  const std::set<QualifiedName> one{before->tables.front().name};
  const auto out = edit_mode(text, "fuzz", one, Mode::off);
  if (!out) return 0;
  const auto after = parse_catalog(*out, "fuzz");
  if (!after || after->tables.size() != before->tables.size() ||
      after->find(*one.begin())->mode != Mode::off)
    std::abort();
  return 0;
}
