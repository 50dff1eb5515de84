// Any bytes as the plan of who lives where: refused, or a list of valid keys and regions.
#include <cstdint>
#include <cstdlib>

#include "catalog/assignment.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto type : {domain::KeyType::bigint, domain::KeyType::uuid, domain::KeyType::text}) {
    const auto list = catalog::parse_assignment(text, type, "fuzz");
    if (!list) continue;
    for (const auto& [key, region] : *list) {
      if (!domain::parse_org_key(key, type) || !domain::parse_region_id(region)) std::abort();
    }
  }
  return 0;
}
