// Which elements only one of two sets has, from their coded symbols (digest/symbols.h). Symbols of both
// sides are subtracted, which leaves those of the difference; a symbol of one element gives it away, it is
// taken out of all others, and so on.
#pragma once

#include <vector>

#include "digest/symbols.h"

namespace domicile::digest {

class Difference {
 public:
  // The next symbols of both sets, as many of each. Code::invalid when they cannot be of two sets.
  Result<void> extend(std::span<const Symbol> left, std::span<const Symbol> right);
  // All of it is known: every symbol so far is explained, and there is one.
  bool complete() const { return !symbols_.empty() && symbols_[0].empty(); }
  std::size_t symbols() const { return symbols_.size(); }
  const std::vector<Hash128>& only_left() const { return left_; }
  const std::vector<Hash128>& only_right() const { return right_; }

 private:
  Result<void> peel(std::vector<std::uint64_t> suspects);

  std::vector<Symbol> symbols_;
  std::vector<Hash128> left_;
  std::vector<Hash128> right_;
};

}  // namespace domicile::digest
