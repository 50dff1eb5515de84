// Any bytes as a form: no crash, no name twice.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>

#include "base/check.h"
#include "http/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const auto form =
      domicile::http::parse_form(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!form) return 0;
  std::set<std::string_view> names;
  for (const auto& [name, value] : *form) CHECK(names.insert(name).second);
  return 0;
}
