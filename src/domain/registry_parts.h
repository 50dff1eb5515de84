// What a RegistrySnapshot is made of. Internal to registry_snapshot*.cpp.
#pragma once

#include "domain/registry_layer.h"
#include "domain/registry_snapshot.h"

namespace domicile::domain {

struct RegistrySnapshot::Parts {
  std::string registry_id;
  std::uint64_t revision = 0;
  RegistryChain chain{};
  std::vector<Region> regions;  // sorted by id; records name them by position
  std::shared_ptr<const RegistryLayer> base = std::make_shared<RegistryLayer>();
  RegistryLayer recent;   // its records replace those of base
  std::size_t added = 0;  // organizations of recent that base does not have

  OrganizationView view(const RegistryRecord& record) const;

  bool in_recent(std::string_view key) const {
    return recent.size() != 0 && recent.find(registry_hash(key), key).has_value();
  }

  // Every organization once, as (record, its domains).
  template <typename Visit>
  void each(const Visit& visit) const {
    base->each([&](const RegistryRecord& record, std::uint32_t) {
      if (!in_recent(record.key)) visit(record, base->domains_of(record));
    });
    recent.each([&](const RegistryRecord& record, std::uint32_t) {
      visit(record, recent.domains_of(record));
    });
  }

  // All organizations in one layer without garbage, exactly as large as needed.
  RegistryLayer folded() const;
};

}  // namespace domicile::domain
