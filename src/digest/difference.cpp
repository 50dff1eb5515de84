#include "digest/difference.h"

#include "base/check.h"

namespace domicile::digest {
namespace {

// +1: one element that only the left set has, -1: only the right one; 0: more of them, or none.
int single(const Symbol& symbol, Hash128& element) {
  if (symbol.count != 1 && symbol.count != -1) return 0;
  element = symbol.count == 1 ? symbol.sum : symbol.sum.negated();
  Symbol alone;
  symbol.count == 1 ? alone.add(element) : alone.remove(element);
  return alone == symbol ? static_cast<int>(symbol.count) : 0;
}

}  // namespace

Result<void> Difference::extend(std::span<const Symbol> left, std::span<const Symbol> right) {
  CHECK(left.size() == right.size());
  const std::uint64_t first = symbols_.size();
  const std::uint64_t end = first + left.size();
  for (std::size_t i = 0; i < left.size(); ++i) symbols_.emplace_back(left[i]) -= right[i];
  const auto take_out = [&](const std::vector<Hash128>& elements, bool of_left) {
    for (const Hash128& element : elements)
      for (Walk walk(element); walk.at() < end; walk.next())
        if (walk.at() >= first)
          of_left ? symbols_[walk.at()].remove(element) : symbols_[walk.at()].add(element);
  };
  take_out(left_, true);
  take_out(right_, false);
  std::vector<std::uint64_t> suspects;
  for (std::uint64_t at = first; at < end; ++at) suspects.push_back(at);
  // Taking known elements out of new symbols says nothing new about older ones.
  return peel(std::move(suspects));
}

Result<void> Difference::peel(std::vector<std::uint64_t> suspects) {
  while (!suspects.empty()) {
    const std::uint64_t at = suspects.back();
    suspects.pop_back();
    Hash128 element;
    const int side = single(symbols_[at], element);
    if (side == 0) continue;
    // Two honest sets have fewer differences than symbols: more would go on for ever.
    if (left_.size() + right_.size() > symbols_.size())
      return fail(Code::invalid, "the coded symbols belong to no two sets", "compare_symbols");
    (side > 0 ? left_ : right_).push_back(element);
    for (Walk walk(element); walk.at() < symbols_.size(); walk.next()) {
      Symbol& symbol = symbols_[walk.at()];
      side > 0 ? symbol.remove(element) : symbol.add(element);
      suspects.push_back(walk.at());
    }
  }
  return {};
}

}  // namespace domicile::digest
