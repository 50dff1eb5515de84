// Small parts of the personal keys: an index from a key's tag to its slot, and a cache that forgets
// what was not used lately. Neither locks.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "audit/key_file.h"

namespace domicile::audit {

// Open addressing by the first 8 bytes of a tag, which is a MAC and so spreads by itself. Slots with
// the same first 8 bytes are told apart by whoever asks (`same` looks at the slot).
class SlotIndex {
 public:
  using Tag = std::array<char, kKeyTagBytes>;

  template <typename Same>
  std::uint32_t find(const Tag& tag, const Same& same) const {  // 0: none
    if (entries_.empty()) return 0;
    const std::uint64_t hash = hash_of(tag);
    for (std::size_t at = hash & mask();; at = (at + 1) & mask()) {
      const Entry& entry = entries_[at];
      if (!entry.used) return 0;
      if (entry.hash == hash && entry.slot != 0 && same(entry.slot)) return entry.slot;
    }
  }
  void insert(const Tag& tag, std::uint32_t slot) {
    if ((used_ + 1) * 4 > entries_.size() * 3) grow();
    place({hash_of(tag), slot, 1});
    ++used_;
    ++size_;
  }
  void remove(const Tag& tag, std::uint32_t slot) {
    if (entries_.empty()) return;
    const std::uint64_t hash = hash_of(tag);
    for (std::size_t at = hash & mask(); entries_[at].used; at = (at + 1) & mask()) {
      if (entries_[at].hash != hash || entries_[at].slot != slot) continue;
      entries_[at].slot = 0;  // the chain goes on past it
      --size_;
      return;
    }
  }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return entries_.capacity() * sizeof(Entry); }

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint32_t slot = 0;
    std::uint32_t used = 0;
  };
  static std::uint64_t hash_of(const Tag& tag) {
    std::uint64_t hash = 0;
    std::memcpy(&hash, tag.data(), sizeof hash);
    return hash;
  }
  std::size_t mask() const { return entries_.size() - 1; }
  void place(Entry entry) {
    std::size_t at = entry.hash & mask();
    while (entries_[at].used) at = (at + 1) & mask();
    entries_[at] = entry;
  }
  void grow() {
    std::vector<Entry> old = std::exchange(entries_, {});
    std::size_t room = 64;
    while (room < size_ * 2 + 2) room *= 2;
    entries_.assign(room, Entry{});
    used_ = size_;
    for (const Entry& entry : old) {
      if (entry.used && entry.slot != 0) place(entry);
    }
  }
  std::vector<Entry> entries_;  // a power of two of them
  std::size_t used_ = 0;        // removed ones too
  std::size_t size_ = 0;
};

// Two generations: what was used since the last turn, and what was used in the one before. Holds at
// most twice `max`.
template <typename Key, typename Value>
class RecentCache {
 public:
  explicit RecentCache(std::size_t max) : max_(max) {}

  const Value* find(const Key& key) {
    if (const auto at = young_.find(key); at != young_.end()) return &at->second;
    const auto at = old_.find(key);
    if (at == old_.end()) return nullptr;
    Value value = std::move(at->second);
    old_.erase(at);
    return put(key, std::move(value));
  }
  const Value* put(const Key& key, Value value) {
    if (young_.size() >= max_) old_ = std::exchange(young_, {});
    return &young_.insert_or_assign(key, std::move(value)).first->second;
  }
  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  const std::size_t max_;
  std::unordered_map<Key, Value> young_;
  std::unordered_map<Key, Value> old_;
};

}  // namespace domicile::audit
