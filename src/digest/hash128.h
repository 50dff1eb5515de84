// A 128-bit number as the hash of a row. Sets of rows are summed by addition modulo 2^128: a sum forgets
// the order and remembers how often each row was there, which XOR does not (two equal rows would cancel).
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace domicile::digest {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  Hash128& operator+=(const Hash128& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
  Hash128& operator-=(const Hash128& other) {
    const std::uint64_t borrow = low < other.low ? 1 : 0;
    low -= other.low;
    high -= other.high + borrow;
    return *this;
  }
  Hash128 negated() const {
    Hash128 out;
    return out -= *this;
  }
  friend auto operator<=>(const Hash128&, const Hash128&) = default;

  // 16 bytes, least significant first.
  static constexpr std::size_t kBytes = 16;
  void append_to(std::string& out) const {
    char bytes[kBytes];
    std::memcpy(bytes, &low, 8);
    std::memcpy(bytes + 8, &high, 8);
    out.append(bytes, kBytes);
  }
  static Hash128 from(std::string_view bytes) {  // of at least kBytes
    Hash128 out;
    std::memcpy(&out.low, bytes.data(), 8);
    std::memcpy(&out.high, bytes.data() + 8, 8);
    return out;
  }
};

struct Hash128Hasher {  // for tables: a keyed hash is as good as random already
  std::size_t operator()(const Hash128& hash) const { return hash.low; }
};

}  // namespace domicile::digest
