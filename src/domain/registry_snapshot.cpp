#include "domain/registry_snapshot.h"

#include <algorithm>

#include <fmt/format.h>

#include "domain/registry_parts.h"

namespace domicile::domain {

RegistrySnapshot::RegistrySnapshot(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
RegistrySnapshot::~RegistrySnapshot() = default;

std::shared_ptr<const RegistrySnapshot> RegistrySnapshot::empty() {
  static const std::shared_ptr<const RegistrySnapshot> nobody(
      new RegistrySnapshot(std::make_unique<Parts>()));
  return nobody;
}

OrganizationView RegistrySnapshot::Parts::view(const RegistryRecord& record) const {
  return {.key = record.key,
          .slug = record.slug,
          .home = &regions[record.home],
          .state = record.state,
          .epoch = record.epoch,
          .revision = record.revision};
}

std::optional<OrganizationView> RegistrySnapshot::find(std::string_view key) const {
  const std::uint64_t hash = registry_hash(key);
  if (parts_->recent.size() != 0) {
    if (const auto at = parts_->recent.find(hash, key)) return parts_->view(parts_->recent.at(*at));
  }
  if (const auto at = parts_->base->find(hash, key)) return parts_->view(parts_->base->at(*at));
  return std::nullopt;
}

void RegistrySnapshot::prefetch(std::string_view one, std::string_view other) const {
  const std::uint64_t hashes[] = {registry_hash(one), registry_hash(other)};
  for (const std::uint64_t hash : hashes) parts_->base->prefetch_index(hash);
  for (const std::uint64_t hash : hashes) parts_->base->prefetch_record(hash);
}

std::optional<OrganizationView> RegistrySnapshot::find_slug(std::string_view slug) const {
  const std::uint64_t hash = registry_hash(slug);
  if (const auto at = parts_->recent.find_slug(hash, slug))
    return parts_->view(parts_->recent.at(*at));
  const auto at = parts_->base->find_slug(hash, slug);
  // A slug is for life, so a newer record of that organization would have been found above.
  return at ? std::optional(parts_->view(parts_->base->at(*at))) : std::nullopt;
}

std::optional<OrganizationView> RegistrySnapshot::find_domain(const DomainHash& domain) const {
  if (const auto at = parts_->recent.find_domain(domain))
    return parts_->view(parts_->recent.at(*at));
  const auto at = parts_->base->find_domain(domain);
  if (!at) return std::nullopt;
  const RegistryRecord record = parts_->base->at(*at);
  if (parts_->in_recent(record.key)) return std::nullopt;  // it has lost this domain since
  return parts_->view(record);
}

std::span<const Region> RegistrySnapshot::regions() const { return parts_->regions; }

const Region* RegistrySnapshot::region(std::string_view id) const {
  const auto found = std::ranges::lower_bound(
      parts_->regions, id, {}, [](const Region& region) { return region.id.view(); });
  return found != parts_->regions.end() && found->id.view() == id ? &*found : nullptr;
}

const Region* RegistrySnapshot::master() const {
  const auto found = std::ranges::find(parts_->regions, true, &Region::master);
  return found != parts_->regions.end() ? &*found : nullptr;
}

const std::string& RegistrySnapshot::registry_id() const { return parts_->registry_id; }
std::uint64_t RegistrySnapshot::revision() const { return parts_->revision; }
const RegistryChain& RegistrySnapshot::chain() const { return parts_->chain; }
std::size_t RegistrySnapshot::size() const { return parts_->base->size() + parts_->added; }

std::size_t RegistrySnapshot::memory_bytes() const {
  return sizeof(Parts) + parts_->base->memory_bytes() + parts_->recent.memory_bytes() +
         parts_->regions.capacity() * sizeof(Region);
}

void RegistrySnapshot::for_each(
    const std::function<void(const OrganizationView&, std::span<const DomainHash>)>& visit) const {
  parts_->each([&](const RegistryRecord& record, std::span<const DomainHash> domains) {
    visit(parts_->view(record), domains);
  });
}

}  // namespace domicile::domain
