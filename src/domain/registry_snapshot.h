// What a node knows of the registry at one revision: every organization's key, slug, home, state
// and epoch, and the regions. Immutable and compact, so that each event loop can hold one and
// answer a million organizations' lookups from memory without a lock, an allocation or a question
// to anybody.
//
// Memory: organizations lie one behind the other in an arena; indexes by key, slug and verified
// domain hold 32-bit arena positions in cache-line buckets (domain/bucket_index.h). A snapshot is a
// large `base` layer and a small `recent` one over it: a change costs the size of what changed
// lately, not of the whole registry; the Builder folds the layers together when `recent` has grown.
//
// Thread: immutable, shared by std::shared_ptr<const RegistrySnapshot>. Views that look-ups return
// point into the snapshot and live as long as it does.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "domain/placement.h"

namespace domicile::domain {

// HMAC-SHA256 of a verified e-mail domain under the registry's pepper
// (store/registry_domain_hash.h): a domain can name a person, so the registry never holds it in
// clear.
using DomainHash = std::array<std::uint8_t, 32>;

// SHA-256 over the registry's history up to a revision: two registries with the same revision and
// another chain have diverged (one was restored from a backup).
using RegistryChain = std::array<std::uint8_t, 32>;

// One organization as the snapshot holds it. Trivially copyable.
struct OrganizationView {
  std::string_view key;
  std::string_view slug;
  const Region* home = nullptr;  // never null in a view that a snapshot returned
  PlacementState state = PlacementState::closed;
  Epoch epoch = 0;
  std::uint64_t revision = 0;

  bool homed_in(std::string_view region) const { return home->id.view() == region; }
};

class RegistrySnapshot {
 public:
  class Builder;

  // Knows nobody: revision 0, no region.
  static std::shared_ptr<const RegistrySnapshot> empty();

  // The form kept on disk (registry/snapshot_file.h adds header and checksum). decode() checks
  // every length, name and duplicate, so that any bytes are either a whole snapshot or an error.
  std::string encode() const;
  static Result<std::shared_ptr<const RegistrySnapshot>> decode(std::string_view bytes);

  ~RegistrySnapshot();
  RegistrySnapshot(const RegistrySnapshot&) = delete;
  RegistrySnapshot& operator=(const RegistrySnapshot&) = delete;

  // Look-ups: no allocation, no lock; two cache misses at most for a large registry.
  std::optional<OrganizationView> find(std::string_view key) const;
  std::optional<OrganizationView> find(const OrgKey& key) const { return find(key.view()); }
  // Before two look-ups: their cache misses then overlap.
  void prefetch(std::string_view one, std::string_view other) const;
  std::optional<OrganizationView> find_slug(std::string_view slug) const;
  std::optional<OrganizationView> find_slug(const Slug& slug) const {
    return find_slug(slug.view());
  }
  std::optional<OrganizationView> find_domain(const DomainHash& domain) const;

  std::span<const Region> regions() const;          // sorted by id
  const Region* region(std::string_view id) const;  // nullptr: unknown
  const Region* region(const RegionId& id) const { return region(id.view()); }
  const Region* master() const;  // nullptr: none known

  const std::string& registry_id() const;  // 32 hex digits, "" for the empty snapshot
  std::uint64_t revision() const;
  const RegistryChain& chain() const;
  std::size_t size() const;  // organizations, closed ones included
  std::size_t memory_bytes() const;

  // Every organization once, in no particular order, with its verified domains.
  void for_each(
      const std::function<void(const OrganizationView&, std::span<const DomainHash>)>& visit) const;

 private:
  struct Layer;
  struct Parts;
  explicit RegistrySnapshot(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

// Makes the next snapshot from a former one (or from nothing) and a batch of changes. One thread.
// Errors (Code::invalid) name the organization: unknown region, a slug or domain that another
// organization holds, a change with an older revision than the one known.
class RegistrySnapshot::Builder {
 public:
  Builder();
  explicit Builder(std::shared_ptr<const RegistrySnapshot> former);
  ~Builder();

  Builder& registry_id(std::string id);
  Builder& regions(std::vector<Region> regions);  // replaces all of them
  // Adds the organization, or replaces what was known of it, verified domains included. A slug is
  // for life: changing it is an error.
  Result<void> put(const Organization& organization, std::span<const DomainHash> domains = {});
  Result<std::shared_ptr<const RegistrySnapshot>> build(std::uint64_t revision,
                                                        const RegistryChain& chain = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::domain
