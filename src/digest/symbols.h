// Two sets that are nearly equal find their difference by exchanging about 1.4 coded symbols for each
// element that only one of them has, however large they are: rateless invertible Bloom lookup tables
// (Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", arXiv 2402.02668). A set's symbols are
// an endless sequence; symbol i sums those elements that a random walk seeded by the element leads to i,
// with probability 1 / (1 + i/2). Everybody's walk starts at symbol 0, so that one alone tells equal sets
// apart from different ones.
//
// Elements are keyed row hashes. Sums are modulo 2^128, the check of a sum modulo 2^64.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "digest/hash128.h"

namespace domicile::digest {

struct Symbol {
  Hash128 sum;
  std::uint64_t check = 0;
  std::int64_t count = 0;

  void add(const Hash128& element);
  void remove(const Hash128& element);
  Symbol& operator-=(const Symbol& other);
  bool empty() const { return count == 0 && check == 0 && sum == Hash128{}; }
  friend bool operator==(const Symbol&, const Symbol&) = default;
};

// The symbols an element is in, in rising order, beginning with 0.
class Walk {
 public:
  explicit Walk(const Hash128& element) : state_(element.low ^ element.high) {}
  std::uint64_t at() const { return at_; }
  void next();

 private:
  std::uint64_t state_;
  std::uint64_t at_ = 0;
};

// Symbols first..first+size-1 of a set.
class Sketch {
 public:
  Sketch(std::uint64_t first, std::size_t size) : first_(first), symbols_(size) {}
  void add(const Hash128& element);
  std::uint64_t first() const { return first_; }
  std::span<const Symbol> symbols() const { return symbols_; }

 private:
  std::uint64_t first_;
  std::vector<Symbol> symbols_;
};

// On the wire: sum and check least significant byte first, the count as zigzag LEB128.
std::string encode_symbols(std::span<const Symbol> symbols);
// Exactly `count` of them, or Code::invalid.
Result<std::vector<Symbol>> decode_symbols(std::string_view bytes, std::size_t count);

}  // namespace domicile::digest
