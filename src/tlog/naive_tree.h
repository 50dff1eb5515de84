// RFC 6962's definitions, word for word and slow: what the tests hold the real tree against.
#pragma once

#include <bit>
#include <map>
#include <string>
#include <vector>

#include "tlog/merkle.h"

namespace domicile::tlog {

class NaiveTree {
 public:
  // Entries "entry 0" to "entry count"; one more than the tree has, for wrong claims.
  explicit NaiveTree(std::uint64_t count) {
    for (std::uint64_t i = 0; i <= count; ++i) leaves_.push_back(leaf_hash(entry(i)));
  }
  static std::string entry(std::uint64_t index) { return "entry " + std::to_string(index); }
  const Hash& leaf(std::uint64_t index) const { return leaves_[index]; }

  Hash root(std::uint64_t size) const { return size == 0 ? empty_root() : mth(0, size); }

  // PATH(m, D[n]) of section 2.1.1.
  std::vector<Hash> inclusion(std::uint64_t index, std::uint64_t size) const {
    return path(index, 0, size);
  }
  // PROOF(m, D[n]) of section 2.1.2.
  std::vector<Hash> consistency(std::uint64_t old_size, std::uint64_t size) const {
    if (old_size == 0 || old_size == size) return {};
    return subproof(old_size, 0, size, true);
  }
  SubtreeHash subtrees() const {
    return [this](unsigned level, std::uint64_t index) -> Result<Hash> {
      return mth(index << level, (index + 1) << level);
    };
  }

 private:
  Hash mth(std::uint64_t begin, std::uint64_t end) const {
    if (end - begin == 1) return leaves_[begin];
    const auto known = known_.find({begin, end});
    if (known != known_.end()) return known->second;
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    return known_[{begin, end}] = node_hash(mth(begin, middle), mth(middle, end));
  }
  std::vector<Hash> path(std::uint64_t index, std::uint64_t begin, std::uint64_t end) const {
    if (end - begin == 1) return {};
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    auto out = index < middle ? path(index, begin, middle) : path(index, middle, end);
    out.push_back(index < middle ? mth(middle, end) : mth(begin, middle));
    return out;
  }
  std::vector<Hash> subproof(std::uint64_t old_end, std::uint64_t begin, std::uint64_t end,
                             bool whole) const {
    if (old_end == end) return whole ? std::vector<Hash>{} : std::vector<Hash>{mth(begin, end)};
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    std::vector<Hash> out;
    if (old_end <= middle) {
      out = subproof(old_end, begin, middle, whole);
      out.push_back(mth(middle, end));
    } else {
      out = subproof(old_end, middle, end, false);
      out.push_back(mth(begin, middle));
    }
    return out;
  }

  std::vector<Hash> leaves_;
  mutable std::map<std::pair<std::uint64_t, std::uint64_t>, Hash> known_;
};

}  // namespace domicile::tlog
