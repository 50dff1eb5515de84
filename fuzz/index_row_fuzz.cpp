// Rows of the index from any bytes: one line of twenty fields that COPY takes, whatever the event held.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "logindex/row.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string row;
  domicile::logindex::append_row(row, 1, 7, {reinterpret_cast<const char*>(data), size});
  CHECK(row.ends_with('\n') && std::ranges::count(row, '\n') == 1);
  CHECK(std::ranges::count(row, '\t') == 19 && std::ranges::count(row, '\0') == 0);
  return 0;
}
