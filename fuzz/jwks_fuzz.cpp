// Any bytes as a JWKS document. What is accepted is written and read back as the same set.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "token/key_set.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using domicile::token::KeySet;
  const auto set = KeySet::parse({reinterpret_cast<const char*>(data), size});
  if (!set) return 0;
  const std::string json = (*set)->to_json();
  const auto again = KeySet::parse(json);
  if (!again || (*again)->to_json() != json) std::abort();
  for (const auto& key : (*set)->keys()) {
    if ((*set)->find(key.kid) != &key) std::abort();
  }
  return 0;
}
