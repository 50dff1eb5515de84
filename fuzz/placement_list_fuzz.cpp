// Any bytes as a list of placements: refused, or read into something that writes and reads back the
// same.
#include <cstdint>
#include <cstdlib>

#include "store/placement_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto type : {domain::KeyType::bigint, domain::KeyType::uuid, domain::KeyType::text}) {
    const auto list = store::parse_placement_list(text, type);
    if (!list) continue;
    const std::string written = store::to_json(*list);
    const auto again = store::parse_placement_list(written, type);
    if (!again || store::to_json(*again) != written) std::abort();
  }
  return 0;
}
