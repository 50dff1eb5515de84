// The Merkle tree of RFC 6962 (section 2.1) over SHA-256: what a checkpoint's root commits to. A
// leaf is SHA-256(0x00 || entry), an inner node SHA-256(0x01 || left || right), and the root of no
// entries SHA-256 of nothing, so that an entry can never be passed off as a node.
//
// Sizes and indexes count entries from 0; `level` 0 are the leaves. The subtree (level, index) is
// complete and covers the entries [index << level, (index + 1) << level). Pure; one thread at a
// time per object, the functions are thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/sha256.h"

namespace domicile::tlog {

using Hash = crypto::Digest256;

Hash leaf_hash(std::string_view entry);
Hash node_hash(const Hash& left, const Hash& right);
Hash empty_root();

// The right edge of a growing tree: the complete subtrees that a size is made of, largest first.
class Frontier {
 public:
  Frontier() = default;
  // `subtrees`: one hash for each set bit of `size`, largest subtree first.
  static Result<Frontier> restore(std::uint64_t size, std::vector<Hash> subtrees);

  void append(const Hash& leaf);
  std::uint64_t size() const { return size_; }
  Hash root() const;

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> subtrees_;
};

// The hash of a complete subtree, from wherever they are kept. What it returns is believed: give it
// hashes that were checked, or check the outcome against a root.
using SubtreeHash = std::function<Result<Hash>(unsigned level, std::uint64_t index)>;

Result<Hash> root_of(std::uint64_t size, const SubtreeHash& subtree);
// The subtrees that `size` is made of, largest first: what Frontier::restore() takes.
Result<std::vector<Hash>> subtrees_of(std::uint64_t size, const SubtreeHash& subtree);

// Proofs as RFC 6962 sections 2.1.1 and 2.1.2 order them: nearest the leaf first. Code::invalid
// where the index or the old size lies outside the tree.
Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size,
                                          const SubtreeHash& subtree);
Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t new_size,
                                            const SubtreeHash& subtree);

// Whether the proof, whole and with nothing left over, leads from what is claimed to `root` (RFC
// 9162 sections 2.1.3.2 and 2.1.4.2). A consistency proof from size 0 is empty and proves nothing
// but that 0 <= new_size; the old root must then be empty_root().
bool verify_inclusion(std::uint64_t index, std::uint64_t size, const Hash& leaf,
                      std::span<const Hash> proof, const Hash& root);
bool verify_consistency(std::uint64_t old_size, std::uint64_t new_size, std::span<const Hash> proof,
                        const Hash& old_root, const Hash& new_root);

}  // namespace domicile::tlog
