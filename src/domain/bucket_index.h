// A hash index from 64-bit hashes to 32-bit positions, one cache line a bucket: twelve one-byte
// tags and twelve positions. A look-up that finds its entry touches one line of the index as a
// rule; a tag that matches by chance costs one comparison with the record (1 in 255 per entry).
//
// The caller compares: find() hands every candidate position to `same`. Positions are never
// removed, only replaced. At a load of 0.8 an entry costs 6.7 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "domain/huge_allocator.h"

namespace domicile::domain {

class BucketIndex {
 public:
  static constexpr std::size_t kSlots = 12;

  // Empties the index and makes room for `count` entries.
  void reset(std::size_t count) {
    buckets_.assign(count == 0 ? 0 : (count * 10 / 8 + kSlots) / kSlots, Bucket{});
    buckets_.shrink_to_fit();
    capacity_ = count;
    size_ = 0;
  }

  std::size_t size() const { return size_; }
  bool full() const { return size_ == capacity_; }
  std::size_t memory_bytes() const { return buckets_.capacity() * sizeof(Bucket); }

  // Not for a full() index.
  void insert(std::uint64_t hash, std::uint32_t position) {
    for (std::size_t b = bucket_of(hash);; b = next(b)) {
      Bucket& bucket = buckets_[b];
      for (std::size_t i = 0; i < kSlots; ++i) {
        if (bucket.tags[i] != 0) continue;
        bucket.tags[i] = tag_of(hash);
        bucket.positions[i] = position;
        ++size_;
        return;
      }
      bucket.overflowed = 1;
    }
  }

  template <typename Same>
  std::optional<std::uint32_t> find(std::uint64_t hash, const Same& same) const {
    const std::uint32_t* slot = slot_of(hash, same);
    return slot == nullptr ? std::nullopt : std::optional(*slot);
  }

  // Asks for the line that a look-up will touch, without waiting for it.
  void prefetch(std::uint64_t hash) const {
    if (!buckets_.empty()) __builtin_prefetch(&buckets_[bucket_of(hash)]);
  }
  // The first position whose tag fits: probably the entry, to be prefetched.
  std::optional<std::uint32_t> likely(std::uint64_t hash) const {
    std::optional<std::uint32_t> found;
    slot_of(hash, [&](std::uint32_t position) {
      found = position;
      return true;
    });
    return found;
  }

  // Points the entry that `same` accepts to another position. False: there is none.
  template <typename Same>
  bool replace(std::uint64_t hash, std::uint32_t position, const Same& same) {
    auto* slot = const_cast<std::uint32_t*>(slot_of(hash, same));
    if (slot != nullptr) *slot = position;
    return slot != nullptr;
  }

 private:
  struct alignas(64) Bucket {
    std::uint8_t tags[kSlots] = {};  // 0: free
    std::uint32_t overflowed = 0;    // an entry that belongs here may stand in the next bucket
    std::uint32_t positions[kSlots] = {};
  };
  static_assert(sizeof(Bucket) == 64);

  // High bits choose the bucket, low bits are the tag: they must not say the same.
  static std::uint8_t tag_of(std::uint64_t hash) {
    const auto tag = static_cast<std::uint8_t>(hash);
    return tag == 0 ? 1 : tag;
  }
  std::size_t bucket_of(std::uint64_t hash) const {
    return static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * buckets_.size()) >> 64);
  }
  std::size_t next(std::size_t b) const { return b + 1 == buckets_.size() ? 0 : b + 1; }

  template <typename Same>
  const std::uint32_t* slot_of(std::uint64_t hash, const Same& same) const {
    if (buckets_.empty()) return nullptr;
    const std::uint8_t tag = tag_of(hash);
    const std::size_t first = bucket_of(hash);
    std::size_t b = first;
    do {
      const Bucket& bucket = buckets_[b];
      unsigned candidates = 0;
      for (std::size_t i = 0; i < kSlots; ++i) {
        candidates |= static_cast<unsigned>(bucket.tags[i] == tag) << i;
      }
      for (; candidates != 0; candidates &= candidates - 1) {
        const auto i = static_cast<std::size_t>(__builtin_ctz(candidates));
        if (same(bucket.positions[i])) return &bucket.positions[i];
      }
      if (bucket.overflowed == 0) return nullptr;
      b = next(b);
    } while (b != first);  // in a small index every bucket may have overflowed
    return nullptr;
  }

  std::vector<Bucket, HugeAllocator<Bucket>> buckets_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace domicile::domain
