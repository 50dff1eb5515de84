// Any bytes as a route file: an error, or a policy that then answers any path.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "policy/route_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto cut = input.find('\0');
  const std::string_view file = input.substr(0, cut);
  const std::string_view path = cut == std::string_view::npos ? "/a" : input.substr(cut + 1);
  const auto policy = domicile::policy::RoutePolicy::parse(file, "fuzz");
  if (!policy) {
    CHECK(!policy.error().message.empty());
    return 0;
  }
  for (const auto& rule : (*policy)->rules()) {
    CHECK(!rule.name.empty() && !rule.methods.empty());
    CHECK(rule.is_public || rule.place != domicile::policy::OrganizationPlace::none);
  }
  const auto match = (*policy)->match("GET", path);
  if (match.rule != nullptr && match.rule->place == domicile::policy::OrganizationPlace::path) {
    CHECK(!match.organization_in_path.empty());
  }
  return 0;
}
