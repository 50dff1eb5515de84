#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "domain/registry_parts.h"

namespace domicile::domain {
namespace {

// `recent` is copied with every change and `base` with every fold: this share keeps both cheap.
bool wants_folding(const RegistryLayer& recent, const RegistryLayer& base) {
  return recent.records() > std::max<std::size_t>(1024, base.size() / 64);
}

}  // namespace

RegistryLayer RegistrySnapshot::Parts::folded() const {
  std::size_t organizations = 0;
  std::size_t bytes = 0;
  std::size_t domains = 0;
  each([&](const RegistryRecord& record, std::span<const DomainHash> held) {
    ++organizations;
    bytes += RegistryLayer::record_bytes(record.key.size(), record.slug.size());
    domains += held.size();
  });
  RegistryLayer out;
  out.reserve(organizations, bytes, domains);
  each([&](const RegistryRecord& record, std::span<const DomainHash> held) {
    out.put(record, held);
  });
  std::string twice;
  CHECK(out.index_domains(&twice));
  return out;
}

struct RegistrySnapshot::Builder::State {
  Parts parts;
};

RegistrySnapshot::Builder::Builder() : Builder(empty()) {}

RegistrySnapshot::Builder::Builder(std::shared_ptr<const RegistrySnapshot> former)
    : state_(std::make_unique<State>()) {
  state_->parts = *former->parts_;
}

RegistrySnapshot::Builder::~Builder() = default;

RegistrySnapshot::Builder& RegistrySnapshot::Builder::registry_id(std::string id) {
  state_->parts.registry_id = std::move(id);
  return *this;
}

RegistrySnapshot::Builder& RegistrySnapshot::Builder::regions(std::vector<Region> regions) {
  Parts& parts = state_->parts;
  std::ranges::sort(regions, {}, [](const Region& region) { return region.id.view(); });
  if (regions == parts.regions) return *this;
  // Records name regions by position: with another list every record is written anew. A region that
  // disappears while organizations live there leaves its place to a nameless one, which build()
  // refuses.
  Parts next;
  next.registry_id = parts.registry_id;
  next.revision = parts.revision;
  next.chain = parts.chain;
  next.regions = std::move(regions);
  parts.each([&](const RegistryRecord& record, std::span<const DomainHash> domains) {
    const RegionId& id = parts.regions[record.home].id;
    auto at = std::ranges::find(next.regions, id, &Region::id);
    if (at == next.regions.end()) {
      // Appended out of order on purpose: build() sees a region without a jurisdiction and refuses.
      next.regions.push_back(Region{.id = id, .jurisdiction = {}, .locations = {}, .url = {}});
      at = next.regions.end() - 1;
    }
    RegistryRecord moved = record;
    moved.home = static_cast<std::uint16_t>(at - next.regions.begin());
    next.recent.put(moved, domains);
  });
  next.added = next.recent.size();
  parts = std::move(next);
  return *this;
}

Result<void> RegistrySnapshot::Builder::put(const Organization& organization,
                                            std::span<const DomainHash> domains) {
  Parts& parts = state_->parts;
  const std::string_view key = organization.key.view();
  const auto home = std::ranges::find(parts.regions, organization.placement.region, &Region::id);
  if (home == parts.regions.end()) {
    return fail(Code::invalid,
                fmt::format("organization {} is homed in {}, which is no region of the registry",
                            key, organization.placement.region.view()));
  }
  TRY(parse_org_key(key));
  TRY(parse_slug(organization.slug.view()));
  if (organization.placement.epoch == 0 || domains.size() > 1000) {
    return fail(Code::invalid,
                fmt::format("organization {} has epoch 0 or more than 1000 domains", key));
  }
  const std::uint64_t hash = registry_hash(key);
  const auto recent = parts.recent.find(hash, key);
  const auto base = parts.base->find(hash, key);
  if (recent || base) {
    const RegistryRecord known = recent ? parts.recent.at(*recent) : parts.base->at(*base);
    if (known.slug != organization.slug.view() || known.revision > organization.revision ||
        known.epoch > organization.placement.epoch) {
      return fail(
          Code::invalid,
          fmt::format(
              "organization {} would change its slug, or go back from revision {} epoch {} to "
              "revision {} epoch {}",
              key, known.revision, known.epoch, organization.revision,
              organization.placement.epoch));
    }
  } else {
    const std::uint64_t slug_hash = registry_hash(organization.slug.view());
    if (parts.recent.find_slug(slug_hash, organization.slug.view()) ||
        parts.base->find_slug(slug_hash, organization.slug.view())) {
      return fail(Code::invalid,
                  fmt::format("organization {} claims slug {}, which another organization holds",
                              key, organization.slug.view()));
    }
    ++parts.added;
  }
  parts.recent.put({.revision = organization.revision,
                    .epoch = organization.placement.epoch,
                    .home = static_cast<std::uint16_t>(home - parts.regions.begin()),
                    .state = organization.placement.state,
                    .key = key,
                    .slug = organization.slug.view()},
                   domains);
  return {};
}

Result<std::shared_ptr<const RegistrySnapshot>> RegistrySnapshot::Builder::build(
    std::uint64_t revision, const RegistryChain& chain) {
  Parts& parts = state_->parts;
  if (revision < parts.revision) {
    return fail(Code::invalid, fmt::format("registry revision would go back from {} to {}",
                                           parts.revision, revision));
  }
  for (const Region& region : parts.regions) {
    if (region.jurisdiction.empty()) {
      return fail(Code::invalid, fmt::format("region {} is gone, but organizations are homed there",
                                             region.id.view()));
    }
  }
  if (parts.regions.size() > RegistryLayer::kMaxRegions)
    return fail(Code::invalid, "more than 16384 regions");
  std::string twice;
  bool unique = parts.recent.index_domains(&twice);
  parts.recent.each([&](const RegistryRecord& record, std::uint32_t) {
    for (const DomainHash& domain : parts.recent.domains_of(record)) {
      const auto other = parts.base->find_domain(domain);
      if (!other) continue;
      const std::string_view holder = parts.base->key_at(*other);
      if (holder != record.key && !parts.in_recent(holder)) {
        unique = false;
        twice = record.key;
      }
    }
  });
  if (!unique) {
    return fail(
        Code::invalid,
        fmt::format("organization {} claims a domain that another organization holds", twice));
  }
  auto next = std::make_unique<Parts>();
  if (wants_folding(parts.recent, *parts.base)) {
    next->base = std::make_shared<RegistryLayer>(parts.folded());
  } else {
    next->base = parts.base;
    next->recent = parts.recent;
    next->added = parts.added;
  }
  next->registry_id = parts.registry_id;
  next->regions = parts.regions;
  next->revision = revision;
  next->chain = chain;
  parts = *next;
  return std::shared_ptr<const RegistrySnapshot>(new RegistrySnapshot(std::move(next)));
}

}  // namespace domicile::domain
