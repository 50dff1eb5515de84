// Where an organization signs in, from what a person types: a slug (or a key), or a verified e-mail
// domain. A name that nobody has is mapped by a keyed hash to one of the regions, always the same
// one: whoever asks cannot tell it from a name that exists there. Pure look-ups in the snapshot;
// thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "crypto/hmac.h"
#include "domain/registry_snapshot.h"

namespace domicile::issuer {

// Of a lower-case domain name, under the registry's pepper.
using DomainHasher = std::function<std::optional<domain::DomainHash>(std::string_view)>;

struct Located {
  const domain::Region* region = nullptr;                // never null in what a Locator returns
  std::optional<domain::OrganizationView> organization;  // absent: nobody has this name
};

class Locator {
 public:
  // `key`: the same in all regions, or they would answer differently.
  Locator(const Secret& key, DomainHasher hash_domain)
      : hmac_(key), hash_domain_(std::move(hash_domain)) {}

  // nullopt: the snapshot knows no region at all (registry never reached).
  std::optional<Located> by_name(const domain::RegistrySnapshot& snapshot,
                                 std::string_view name) const;
  std::optional<Located> by_domain(const domain::RegistrySnapshot& snapshot,
                                   std::string_view domain_name) const;
  // How often the region of a name that nobody has was computed: once for each question, whether
  // somebody has the name or not.
  std::uint64_t computed() const { return computed_; }

 private:
  std::optional<Located> locate(const domain::RegistrySnapshot& snapshot, std::string_view label,
                                std::optional<domain::OrganizationView> found) const;
  crypto::HmacSha256 hmac_;
  DomainHasher hash_domain_;
  mutable std::atomic<std::uint64_t> computed_ = 0;
};

}  // namespace domicile::issuer
