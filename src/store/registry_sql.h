// The registry's tables and functions (sql/control), typed. Free functions over a connection to the
// registry's database; each is one short transaction. One thread per connection.
//
// Errors of the registry itself have these reasons (Error::reason), stable for machines:
//   stale_epoch, organization_exists, slug_taken, domain_taken, operation_reused,
//   not_in_this_state, registry_went_back, registry_diverged           Code::conflict
//   unknown_organization                            Code::not_found
//   unknown_region, wrong_pepper, not_a_registry    Code::invalid
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "domain/placement.h"
#include "domain/registry_snapshot.h"
#include "pg/connection.h"

namespace domicile::store {

struct RegistryEntry {
  domain::Organization organization;
  std::vector<domain::DomainHash> domains;
};

struct RegistryEntryDetails {
  RegistryEntry entry;
  std::string created_at;  // RFC 3339, UTC
  std::string changed_at;
};

struct RegistryHead {
  std::string registry_id;
  std::uint64_t revision = 0;
  domain::RegistryChain chain{};
};

// What changed after a revision: every organization whose last change came later, in order of that
// change, each as it is now; and all regions. Applying it to a snapshot at `since` gives the
// registry at `head.revision` (which is before the newest when `more`).
struct RegistryDelta {
  RegistryHead head;
  bool more = false;
  std::vector<domain::Region> regions;
  std::vector<RegistryEntry> organizations;
};

struct RegistryChange {
  std::uint64_t revision = 0;
  domain::Epoch epoch = 0;
  bool replayed = false;  // this operation id had been done before; nothing changed now
};

struct RegistryFilter {
  std::optional<domain::RegionId> region;
  std::optional<domain::PlacementState> state;
  std::string after_key;  // for paging, in order of keys
  unsigned limit = 100;
};

Result<RegistryHead> registry_head(pg::Connection& connection);

// `known` is the reader's own position; its chain is compared when the revision is not 0.
Result<RegistryDelta> registry_changes(pg::Connection& connection, const RegistryHead& known,
                                       unsigned limit);

Result<std::vector<domain::Region>> registry_regions(pg::Connection& connection);
Result<RegistryEntryDetails> registry_show(pg::Connection& connection, const domain::OrgKey& key);
Result<std::optional<domain::OrgKey>> registry_key_of_slug(pg::Connection& connection,
                                                           const domain::Slug& slug);
Result<std::vector<RegistryEntryDetails>> registry_list(pg::Connection& connection,
                                                        const RegistryFilter& filter);
struct RegionCount {
  domain::RegionId region;
  domain::PlacementState state = domain::PlacementState::active;
  std::int64_t organizations = 0;
};
Result<std::vector<RegionCount>> registry_counts(pg::Connection& connection);

// `operation` may be empty: then a retry cannot be told from a second request.
Result<RegistryChange> registry_create(pg::Connection& connection, const std::string& operation,
                                       const domain::OrgKey& key, const domain::Slug& slug,
                                       const domain::RegionId& region,
                                       std::span<const domain::DomainHash> domains);
Result<RegistryChange> registry_place(pg::Connection& connection, const std::string& operation,
                                      const domain::OrgKey& key, domain::Epoch expected,
                                      domain::PlacementState state,
                                      const std::optional<domain::RegionId>& region = std::nullopt);
Result<RegistryChange> registry_change_domains(pg::Connection& connection,
                                               const std::string& operation,
                                               const domain::OrgKey& key,
                                               std::span<const domain::DomainHash> adds,
                                               std::span<const domain::DomainHash> removes);

// True: it changed something.
Result<bool> registry_put_jurisdiction(pg::Connection& connection, const domain::JurisdictionId& id,
                                       const std::vector<domain::LocationId>& locations);
Result<bool> registry_put_region(pg::Connection& connection, const domain::Region& region);
Result<void> registry_adopt_pepper(pg::Connection& connection,
                                   const domain::DomainHash& fingerprint);

}  // namespace domicile::store
