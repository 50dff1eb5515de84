// Memory in huge pages for tables of many megabytes that are read at random: with pages of 4 KiB most
// look-ups would also miss the processor's address translation. Small tables come from the heap.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace domicile::domain {

template <typename T>
struct HugeAllocator {
  using value_type = T;
  static constexpr std::size_t kPage = std::size_t{2} << 20;

  HugeAllocator() = default;
  template <typename Other>
  HugeAllocator(const HugeAllocator<Other>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < 2 * kPage) return static_cast<T*>(::operator new(bytes, std::align_val_t(kAlign)));
    const std::size_t whole = (bytes + kPage - 1) / kPage * kPage;
    void* memory = std::aligned_alloc(kPage, whole);
    if (memory == nullptr) throw std::bad_alloc();
    (void)::madvise(memory, whole, MADV_HUGEPAGE);  // advice: without it everything works, slower
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < 2 * kPage) {
      ::operator delete(memory, std::align_val_t(kAlign));
    } else {
      std::free(memory);
    }
  }
  friend bool operator==(const HugeAllocator&, const HugeAllocator&) { return true; }

 private:
  static constexpr std::size_t kAlign = alignof(T) < 16 ? 16 : alignof(T);
};

}  // namespace domicile::domain
