// One layer of a RegistrySnapshot: organizations packed in an arena, with indexes by key, slug and
// verified domain. Internal to the snapshot (registry_snapshot*.cpp); written by one thread, then
// never changed.
//
// A record: revision u64, epoch u64, first domain u32, domains u16, home << 2 | state u16, key
// length u8, slug length u8, key, slug, zeros up to a multiple of 8; little-endian. Positions count
// in units of 8 bytes, so that 32 bits reach 32 GiB.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "domain/bucket_index.h"
#include "domain/registry_snapshot.h"

namespace domicile::domain {

static_assert(std::endian::native == std::endian::little, "records are stored little-endian");

// Hash of a key, slug or domain. Seeded per process, so that nobody can choose colliding keys.
std::uint64_t registry_hash(std::string_view text);

inline std::string_view view_of(const DomainHash& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

struct RegistryRecord {
  std::uint64_t revision = 0;
  Epoch epoch = 0;
  std::uint32_t first_domain = 0;
  std::uint16_t domains = 0;
  std::uint16_t home = 0;  // index into the snapshot's regions
  PlacementState state = PlacementState::closed;
  std::string_view key;
  std::string_view slug;
};

class RegistryLayer {
 public:
  using Bytes = std::vector<char, HugeAllocator<char>>;

  static constexpr std::size_t kHeadBytes = 26;
  static constexpr std::size_t kUnit = 8;
  static constexpr std::size_t kMaxRegions = 1u << 14;

  static std::size_t record_bytes(std::size_t key, std::size_t slug) {
    return (kHeadBytes + key + slug + kUnit - 1) / kUnit * kUnit;
  }

  void reserve(std::size_t organizations, std::size_t arena_bytes, std::size_t domains);

  // Adds an organization, or replaces the one with the same key (the old record stays as garbage
  // until compact()). The caller has checked key and slug.
  void put(const RegistryRecord& record, std::span<const DomainHash> domains);

  std::optional<std::uint32_t> find(std::uint64_t hash, std::string_view key) const {
    return keys_.find(hash, [&](std::uint32_t at) { return key_at(at) == key; });
  }
  void prefetch_index(std::uint64_t hash) const { keys_.prefetch(hash); }
  void prefetch_record(std::uint64_t hash) const {
    if (const auto at = keys_.likely(hash))
      __builtin_prefetch(arena_.data() + std::size_t{*at} * kUnit);
  }
  std::optional<std::uint32_t> find_slug(std::uint64_t hash, std::string_view slug) const {
    return slugs_.find(hash, [&](std::uint32_t at) { return slug_at(at) == slug; });
  }
  // Position of the record that holds this domain. Only after index_domains().
  std::optional<std::uint32_t> find_domain(const DomainHash& domain) const;

  RegistryRecord at(std::uint32_t position) const;
  std::string_view key_at(std::uint32_t position) const;
  std::string_view slug_at(std::uint32_t position) const;
  std::span<const DomainHash> domains_of(const RegistryRecord& record) const {
    return std::span(domains_).subspan(record.first_domain, record.domains);
  }

  // Indexes the domains of all live records. False: two organizations hold the same one (`twice`).
  bool index_domains(std::string* twice);

  // Every live record.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (std::size_t offset = 0; offset < arena_.size();) {
      const auto position = static_cast<std::uint32_t>(offset / kUnit);
      const RegistryRecord record = at(position);
      if (garbage_ == 0 || find(registry_hash(record.key), record.key) == position)
        visit(record, position);
      offset += record_bytes(record.key.size(), record.slug.size());
    }
  }

  std::size_t size() const { return keys_.size(); }
  std::size_t records() const { return keys_.size() + garbage_; }
  std::string_view arena() const { return {arena_.data(), arena_.size()}; }
  std::span<const DomainHash> domains() const { return domains_; }
  std::size_t memory_bytes() const;

  // Takes over an arena as a whole (from a file): checks every record, name, and that no key, slug
  // or domain stands twice.
  static Result<RegistryLayer> adopt(Bytes arena, std::vector<DomainHash> domains,
                                     std::size_t organizations, std::size_t regions);

 private:
  void grow_indexes();

  Bytes arena_;
  std::vector<DomainHash> domains_;
  std::vector<std::uint32_t> owners_;  // of domains_: record positions
  BucketIndex keys_;
  BucketIndex slugs_;
  BucketIndex domain_index_;
  std::size_t garbage_ = 0;  // records that were replaced
};

}  // namespace domicile::domain
