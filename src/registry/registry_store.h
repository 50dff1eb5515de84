// The registry of organizations as commands change it and nodes read it. PostgreSQL in the master
// region is one implementation (postgresql_store.h); other engines fit behind the same port.
//
// What every engine promises: compare-and-set on (organization, epoch); an operation id makes a
// retry after a lost answer harmless; keys and slugs are never given out again; revisions are
// strictly ordered, and whoever has seen one has seen all before it. Reasons of errors:
// store/registry_sql.h. Thread-safe.
#pragma once

#include "base/secret.h"
#include "store/registry_sql.h"

namespace domicile::registry {

using store::RegistryChange;
using store::RegistryDelta;
using store::RegistryEntry;
using store::RegistryEntryDetails;
using store::RegistryFilter;
using store::RegistryHead;

class RegistryStore {
 public:
  virtual ~RegistryStore() = default;

  virtual Result<RegistryHead> head() = 0;
  // What changed after `known`; Code::conflict (registry_went_back, registry_diverged) when this is
  // not the history that `known` comes from.
  virtual Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit) = 0;

  virtual Result<std::vector<domain::Region>> regions() = 0;
  virtual Result<std::vector<store::RegionCount>> counts() = 0;
  virtual Result<RegistryEntryDetails> show(const domain::OrgKey& key) = 0;
  virtual Result<std::optional<domain::OrgKey>> key_of(const domain::Slug& slug) = 0;
  virtual Result<std::vector<RegistryEntryDetails>> list(const RegistryFilter& filter) = 0;

  // Writers. With an operation id a lost connection is retried once; without one the error says
  // that the outcome is unknown.
  virtual Result<RegistryChange> create(const std::string& operation, const domain::OrgKey& key,
                                        const domain::Slug& slug, const domain::RegionId& region,
                                        std::span<const domain::DomainHash> domains) = 0;
  virtual Result<RegistryChange> place(const std::string& operation, const domain::OrgKey& key,
                                       domain::Epoch expected, domain::PlacementState state) = 0;
  virtual Result<RegistryChange> change_domains(const std::string& operation,
                                                const domain::OrgKey& key,
                                                std::span<const domain::DomainHash> adds,
                                                std::span<const domain::DomainHash> removes) = 0;
  virtual Result<void> adopt_pepper(const Secret& pepper) = 0;
};

}  // namespace domicile::registry
