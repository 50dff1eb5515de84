#include "domain/registry_layer.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <xxhash.h>

#include "base/check.h"

namespace domicile::domain {
namespace {

constexpr std::size_t kLengthsAt = 24;  // key and slug length
constexpr std::size_t kHomeAt = 22;

template <typename T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
void store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

std::unexpected<Error> damaged(std::size_t offset, std::string_view why) {
  return fail(Code::invalid, fmt::format("organization record at byte {}: {}", offset, why));
}

}  // namespace

std::uint64_t registry_hash(std::string_view text) {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

void RegistryLayer::reserve(std::size_t organizations, std::size_t arena_bytes,
                            std::size_t domains) {
  CHECK(arena_.empty());
  arena_.reserve(arena_bytes);
  domains_.reserve(domains);
  owners_.reserve(domains);
  keys_.reset(organizations);
  slugs_.reset(organizations);
}

RegistryRecord RegistryLayer::at(std::uint32_t position) const {
  const char* head = arena_.data() + std::size_t{position} * kUnit;
  const auto home_state = load<std::uint16_t>(head + kHomeAt);
  const auto key = static_cast<std::uint8_t>(head[kLengthsAt]);
  const auto slug = static_cast<std::uint8_t>(head[kLengthsAt + 1]);
  return {.revision = load<std::uint64_t>(head),
          .epoch = load<std::uint64_t>(head + 8),
          .first_domain = load<std::uint32_t>(head + 16),
          .domains = load<std::uint16_t>(head + 20),
          .home = static_cast<std::uint16_t>(home_state >> 2),
          .state = static_cast<PlacementState>(home_state & 3),
          .key = {head + kHeadBytes, key},
          .slug = {head + kHeadBytes + key, slug}};
}

std::string_view RegistryLayer::key_at(std::uint32_t position) const {
  const char* head = arena_.data() + std::size_t{position} * kUnit;
  return {head + kHeadBytes, static_cast<std::uint8_t>(head[kLengthsAt])};
}

std::string_view RegistryLayer::slug_at(std::uint32_t position) const {
  const char* head = arena_.data() + std::size_t{position} * kUnit;
  return {head + kHeadBytes + static_cast<std::uint8_t>(head[kLengthsAt]),
          static_cast<std::uint8_t>(head[kLengthsAt + 1])};
}

void RegistryLayer::put(const RegistryRecord& record, std::span<const DomainHash> domains) {
  CHECK(record.key.size() <= 255 && record.slug.size() <= 255 && domains.size() <= 65535);
  CHECK(record.home < kMaxRegions);
  const std::size_t offset = arena_.size();
  CHECK(offset / kUnit < UINT32_MAX);
  arena_.resize(offset + record_bytes(record.key.size(), record.slug.size()));
  char* head = arena_.data() + offset;
  store(head, record.revision);
  store(head + 8, record.epoch);
  store(head + 16, static_cast<std::uint32_t>(domains_.size()));
  store(head + 20, static_cast<std::uint16_t>(domains.size()));
  store(head + kHomeAt,
        static_cast<std::uint16_t>(record.home << 2 | static_cast<unsigned>(record.state)));
  head[kLengthsAt] = static_cast<char>(record.key.size());
  head[kLengthsAt + 1] = static_cast<char>(record.slug.size());
  std::ranges::copy(record.key, head + kHeadBytes);
  std::ranges::copy(record.slug, head + kHeadBytes + record.key.size());

  const auto position = static_cast<std::uint32_t>(offset / kUnit);
  domains_.insert(domains_.end(), domains.begin(), domains.end());
  owners_.insert(owners_.end(), domains.size(), position);

  const std::uint64_t key_hash = registry_hash(record.key);
  const std::uint64_t slug_hash = registry_hash(record.slug);
  if (keys_.replace(key_hash, position, [&](std::uint32_t p) { return key_at(p) == record.key; })) {
    slugs_.replace(slug_hash, position, [&](std::uint32_t p) { return slug_at(p) == record.slug; });
    ++garbage_;
    return;
  }
  if (keys_.full()) {
    grow_indexes();  // indexes the new record as well
    return;
  }
  keys_.insert(key_hash, position);
  slugs_.insert(slug_hash, position);
}

void RegistryLayer::grow_indexes() {
  // Oldest first, so that a later record of the same key replaces an earlier one.
  const std::size_t room = std::max<std::size_t>(16, keys_.size() * 2 + 1);
  keys_.reset(room);
  slugs_.reset(room);
  for (std::size_t offset = 0; offset < arena_.size();) {
    const auto position = static_cast<std::uint32_t>(offset / kUnit);
    const RegistryRecord record = at(position);
    const std::uint64_t key_hash = registry_hash(record.key);
    const std::uint64_t slug_hash = registry_hash(record.slug);
    if (garbage_ != 0 && keys_.replace(key_hash, position,
                                       [&](std::uint32_t p) { return key_at(p) == record.key; })) {
      slugs_.replace(slug_hash, position,
                     [&](std::uint32_t p) { return slug_at(p) == record.slug; });
    } else {
      keys_.insert(key_hash, position);
      slugs_.insert(slug_hash, position);
    }
    offset += record_bytes(record.key.size(), record.slug.size());
  }
}

std::optional<std::uint32_t> RegistryLayer::find_domain(const DomainHash& domain) const {
  const auto index = domain_index_.find(registry_hash(view_of(domain)),
                                        [&](std::uint32_t i) { return domains_[i] == domain; });
  return index ? std::optional(owners_[*index]) : std::nullopt;
}

bool RegistryLayer::index_domains(std::string* twice) {
  domain_index_.reset(domains_.size());
  bool unique = true;
  each([&](const RegistryRecord& record, std::uint32_t) {
    for (std::uint32_t i = record.first_domain; i < record.first_domain + record.domains; ++i) {
      if (find_domain(domains_[i])) {
        unique = false;
        *twice = record.key;
        return;
      }
      domain_index_.insert(registry_hash(view_of(domains_[i])), i);
    }
  });
  return unique;
}

std::size_t RegistryLayer::memory_bytes() const {
  return arena_.capacity() + domains_.capacity() * sizeof(DomainHash) +
         owners_.capacity() * sizeof(std::uint32_t) + keys_.memory_bytes() + slugs_.memory_bytes() +
         domain_index_.memory_bytes();
}

Result<RegistryLayer> RegistryLayer::adopt(Bytes arena, std::vector<DomainHash> domains,
                                           std::size_t organizations, std::size_t regions) {
  RegistryLayer layer;
  // Before anything is sized by a count that the bytes claim: each record has a least size.
  if (organizations > arena.size() / record_bytes(1, 1))
    return damaged(0, "more organizations than bytes");
  layer.keys_.reset(organizations);
  layer.slugs_.reset(organizations);
  layer.arena_ = std::move(arena);
  layer.domains_ = std::move(domains);
  layer.owners_.reserve(layer.domains_.size());
  const std::size_t end = layer.arena_.size();
  for (std::size_t offset = 0; offset < end;) {
    if (end - offset < kHeadBytes) return damaged(offset, "cut off");
    const char* head = layer.arena_.data() + offset;
    const std::size_t used = kHeadBytes + static_cast<std::uint8_t>(head[kLengthsAt]) +
                             static_cast<std::uint8_t>(head[kLengthsAt + 1]);
    const std::size_t whole = (used + kUnit - 1) / kUnit * kUnit;
    if (end - offset < whole) return damaged(offset, "cut off");
    const auto position = static_cast<std::uint32_t>(offset / kUnit);
    const RegistryRecord record = layer.at(position);
    if (!parse_org_key(record.key) || !parse_slug(record.slug))
      return damaged(offset, "malformed name");
    if (std::any_of(head + used, head + whole, [](char c) { return c != 0; }))
      return damaged(offset, "bad padding");
    if (record.home >= regions) return damaged(offset, "unknown region");
    if (record.epoch == 0) return damaged(offset, "epoch 0");
    if (record.first_domain != layer.owners_.size() ||
        record.domains > layer.domains_.size() - layer.owners_.size()) {
      return damaged(offset, "bad domains");
    }
    const std::uint64_t key_hash = registry_hash(record.key);
    const std::uint64_t slug_hash = registry_hash(record.slug);
    if (layer.keys_.full() || layer.find(key_hash, record.key))
      return damaged(offset, "key stands twice");
    if (layer.find_slug(slug_hash, record.slug)) return damaged(offset, "slug stands twice");
    layer.keys_.insert(key_hash, position);
    layer.slugs_.insert(slug_hash, position);
    layer.owners_.insert(layer.owners_.end(), record.domains, position);
    offset += whole;
  }
  if (layer.size() != organizations || layer.owners_.size() != layer.domains_.size()) {
    return damaged(end, "counts do not match");
  }
  std::string twice;
  if (!layer.index_domains(&twice))
    return fail(Code::invalid, fmt::format("a domain of {} stands twice", twice));
  return layer;
}

}  // namespace domicile::domain
