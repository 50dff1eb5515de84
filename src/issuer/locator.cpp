#include "issuer/locator.h"

#include <algorithm>
#include <cstring>

namespace domicile::issuer {

std::optional<Located> Locator::locate(const domain::RegistrySnapshot& snapshot,
                                       std::string_view label,
                                       std::optional<domain::OrganizationView> found) const {
  const auto regions = snapshot.regions();
  if (regions.empty()) return std::nullopt;
  // Computed in every case: the known and the unknown take the same time.
  const auto mac = hmac_.clone().mac(label);
  ++computed_;
  std::uint64_t number = 0;
  std::memcpy(&number, mac.data(), sizeof number);
  const domain::Region* stable = &regions[number % regions.size()];
  if (found && found->state == domain::PlacementState::closed) found.reset();
  return Located{found ? found->home : stable, found};
}

std::optional<Located> Locator::by_name(const domain::RegistrySnapshot& snapshot,
                                        std::string_view name) const {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  const auto by_slug = snapshot.find_slug(lower);
  const auto by_key = snapshot.find(name);
  return locate(snapshot, "name:" + lower, by_slug ? by_slug : by_key);
}

std::optional<Located> Locator::by_domain(const domain::RegistrySnapshot& snapshot,
                                          std::string_view domain_name) const {
  std::optional<domain::OrganizationView> found;
  if (hash_domain_) {
    if (const auto hash = hash_domain_(domain_name)) found = snapshot.find_domain(*hash);
  }
  return locate(snapshot, "domain:" + std::string(domain_name), found);
}

}  // namespace domicile::issuer
