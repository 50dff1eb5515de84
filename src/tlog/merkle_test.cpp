// Against a naive tree straight from RFC 6962's recursive definition.
#include "tlog/merkle.h"

#include <string>

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "tlog/naive_tree.h"

namespace domicile::tlog {
namespace {

TEST(Merkle, KnownRoots) {
  // RFC 6962's empty tree, and a leaf without content: SHA-256 of nothing and of one zero byte.
  EXPECT_EQ(to_hex(crypto::view(empty_root())),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(crypto::view(leaf_hash(""))),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

TEST(Merkle, FrontierAndRootOfAgreeWithTheDefinitionAtEverySizeTo2000) {
  const NaiveTree naive(2000);
  const SubtreeHash subtree = naive.subtrees();
  Frontier frontier;
  for (std::uint64_t size = 0; size <= 2000; ++size) {
    const Hash expected = naive.root(size);
    ASSERT_EQ(frontier.root(), expected) << size;
    ASSERT_EQ(root_of(size, subtree).value(), expected) << size;
    const auto restored = Frontier::restore(size, subtrees_of(size, subtree).value()).value();
    ASSERT_EQ(restored.root(), expected) << size;
    if (size < 2000) frontier.append(naive.leaf(size));
  }
}

TEST(Merkle, EveryInclusionProofHoldsAndNoOtherDoes) {
  const NaiveTree naive(300);
  const SubtreeHash subtree = naive.subtrees();
  for (std::uint64_t size = 1; size <= 300; ++size) {
    const Hash root = naive.root(size);
    for (std::uint64_t index = 0; index < size; ++index) {
      auto proof = inclusion_proof(index, size, subtree).value();
      ASSERT_EQ(proof, naive.inclusion(index, size));
      ASSERT_TRUE(verify_inclusion(index, size, naive.leaf(index), proof, root));
      ASSERT_FALSE(verify_inclusion(index, size, naive.leaf(index + 1), proof, root));
      ASSERT_FALSE(verify_inclusion(index + 1, size, naive.leaf(index), proof, root));
      proof.push_back(root);
      ASSERT_FALSE(verify_inclusion(index, size, naive.leaf(index), proof, root));
      proof.pop_back();
      if (proof.empty()) continue;
      proof[index % proof.size()][7] ^= 1;
      ASSERT_FALSE(verify_inclusion(index, size, naive.leaf(index), proof, root));
      proof.pop_back();
      ASSERT_FALSE(verify_inclusion(index, size, naive.leaf(index), proof, root));
    }
  }
}

TEST(Merkle, EveryConsistencyProofHoldsAndNoOtherDoes) {
  const NaiveTree naive(200);
  const SubtreeHash subtree = naive.subtrees();
  for (std::uint64_t size = 0; size <= 200; ++size) {
    const Hash root = naive.root(size);
    for (std::uint64_t old = 0; old <= size; ++old) {
      auto proof = consistency_proof(old, size, subtree).value();
      const Hash before = naive.root(old);
      ASSERT_EQ(proof, naive.consistency(old, size)) << old << " " << size;
      ASSERT_TRUE(verify_consistency(old, size, proof, before, root)) << old << " " << size;
      ASSERT_FALSE(verify_consistency(old, size, proof, naive.leaf(old), root));
      proof.push_back(root);
      ASSERT_FALSE(verify_consistency(old, size, proof, before, root));
      proof.pop_back();
      if (proof.empty()) continue;
      proof[old % proof.size()][31] ^= 0x80;
      ASSERT_FALSE(verify_consistency(old, size, proof, before, root));
    }
  }
}

TEST(Merkle, RefusesWhatLiesOutside) {
  const NaiveTree naive(4);
  EXPECT_FALSE(inclusion_proof(4, 4, naive.subtrees()));
  EXPECT_FALSE(consistency_proof(5, 4, naive.subtrees()));
  EXPECT_FALSE(verify_inclusion(0, 0, naive.leaf(0), {}, empty_root()));
  EXPECT_FALSE(verify_consistency(3, 2, {}, naive.root(3), naive.root(2)));
  EXPECT_FALSE(Frontier::restore(3, {naive.leaf(0)}));
}

}  // namespace
}  // namespace domicile::tlog
