#include "tlog/merkle.h"

#include <bit>

#include <fmt/format.h>

namespace domicile::tlog {
namespace {

constexpr std::string_view kLeaf("\0", 1);
constexpr std::string_view kNode("\1", 1);

crypto::Sha256& hasher() {
  thread_local crypto::Sha256 sha;
  return sha;
}

// The largest power of two below `count`, as a level: where RFC 6962 splits a range in two.
unsigned split_level(std::uint64_t count) {
  return static_cast<unsigned>(std::bit_width(count - 1) - 1);
}

// The hash of the entries [begin, end); begin is a multiple of the range's largest subtree.
Result<Hash> range_hash(std::uint64_t begin, std::uint64_t end, const SubtreeHash& subtree) {
  const std::uint64_t count = end - begin;
  if (std::has_single_bit(count)) {
    const auto level = static_cast<unsigned>(std::countr_zero(count));
    return subtree(level, begin >> level);
  }
  const unsigned level = split_level(count);
  const Hash left = TRY(subtree(level, begin >> level));
  return node_hash(left, TRY(range_hash(begin + (std::uint64_t{1} << level), end, subtree)));
}

}  // namespace

Hash leaf_hash(std::string_view entry) { return hasher().update(kLeaf).update(entry).finish(); }

Hash node_hash(const Hash& left, const Hash& right) {
  return hasher().update(kNode).update(crypto::view(left)).update(crypto::view(right)).finish();
}

Hash empty_root() { return crypto::sha256({}); }

Result<Frontier> Frontier::restore(std::uint64_t size, std::vector<Hash> subtrees) {
  if (subtrees.size() != static_cast<std::size_t>(std::popcount(size))) {
    return fail(Code::invalid, fmt::format("a tree of {} entries is made of {} subtrees, not {}",
                                           size, std::popcount(size), subtrees.size()));
  }
  Frontier frontier;
  frontier.size_ = size;
  frontier.subtrees_ = std::move(subtrees);
  return frontier;
}

void Frontier::append(const Hash& leaf) {
  subtrees_.push_back(leaf);
  ++size_;
  for (std::uint64_t rest = size_; (rest & 1) == 0; rest >>= 1) {
    const Hash right = subtrees_.back();
    subtrees_.pop_back();
    subtrees_.back() = node_hash(subtrees_.back(), right);
  }
}

Hash Frontier::root() const {
  if (subtrees_.empty()) return empty_root();
  Hash hash = subtrees_.back();
  for (auto at = subtrees_.rbegin() + 1; at != subtrees_.rend(); ++at) hash = node_hash(*at, hash);
  return hash;
}

Result<Hash> root_of(std::uint64_t size, const SubtreeHash& subtree) {
  if (size == 0) return empty_root();
  return range_hash(0, size, subtree);
}

Result<std::vector<Hash>> subtrees_of(std::uint64_t size, const SubtreeHash& subtree) {
  std::vector<Hash> out;
  std::uint64_t begin = 0;
  for (auto level = static_cast<unsigned>(std::bit_width(size)); level-- > 0;) {
    const std::uint64_t count = std::uint64_t{1} << level;
    if ((size & count) == 0) continue;
    out.push_back(TRY(subtree(level, begin >> level)));
    begin += count;
  }
  return out;
}

Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size,
                                          const SubtreeHash& subtree) {
  if (index >= size) {
    return fail(Code::invalid, fmt::format("entry {} is not in a tree of {} entries", index, size));
  }
  std::vector<Hash> from_the_root;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + (std::uint64_t{1} << split_level(end - begin));
    if (index < middle) {
      from_the_root.push_back(TRY(range_hash(middle, end, subtree)));
      end = middle;
    } else {
      from_the_root.push_back(TRY(range_hash(begin, middle, subtree)));
      begin = middle;
    }
  }
  return std::vector<Hash>(from_the_root.rbegin(), from_the_root.rend());
}

Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t new_size,
                                            const SubtreeHash& subtree) {
  if (old_size > new_size) {
    return fail(Code::invalid, fmt::format("a tree of {} entries does not continue one of {}",
                                           new_size, old_size));
  }
  std::vector<Hash> from_the_root;
  if (old_size == 0 || old_size == new_size) return from_the_root;
  std::uint64_t begin = 0;
  std::uint64_t end = new_size;
  // Down to the subtree that ends where the old tree ends.
  while (end != old_size) {
    const std::uint64_t middle = begin + (std::uint64_t{1} << split_level(end - begin));
    if (old_size <= middle) {
      from_the_root.push_back(TRY(range_hash(middle, end, subtree)));
      end = middle;
    } else {
      from_the_root.push_back(TRY(range_hash(begin, middle, subtree)));
      begin = middle;
    }
  }
  if (begin != 0) from_the_root.push_back(TRY(range_hash(begin, end, subtree)));
  return std::vector<Hash>(from_the_root.rbegin(), from_the_root.rend());
}

bool verify_inclusion(std::uint64_t index, std::uint64_t size, const Hash& leaf,
                      std::span<const Hash> proof, const Hash& root) {
  if (index >= size) return false;
  std::uint64_t node = index;
  std::uint64_t last = size - 1;
  Hash hash = leaf;
  for (const Hash& beside : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      hash = node_hash(beside, hash);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = node_hash(hash, beside);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, std::uint64_t new_size, std::span<const Hash> proof,
                        const Hash& old_root, const Hash& new_root) {
  if (old_size > new_size) return false;
  if (old_size == new_size) return proof.empty() && old_root == new_root;
  if (old_size == 0) return proof.empty() && old_root == empty_root();
  std::uint64_t node = old_size - 1;
  std::uint64_t last = new_size - 1;
  while ((node & 1) != 0) {
    node >>= 1;
    last >>= 1;
  }
  // An old tree that is one complete subtree is its own first hash, which the proof leaves out.
  Hash old_hash = old_root;
  if (!std::has_single_bit(old_size)) {
    if (proof.empty()) return false;
    old_hash = proof.front();
    proof = proof.subspan(1);
  }
  Hash new_hash = old_hash;
  for (const Hash& beside : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      old_hash = node_hash(beside, old_hash);
      new_hash = node_hash(beside, new_hash);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      new_hash = node_hash(new_hash, beside);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && old_hash == old_root && new_hash == new_root;
}

}  // namespace domicile::tlog
