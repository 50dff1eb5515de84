#include "tlog/policy.h"

#include <gtest/gtest.h>

#include "tlog/cosignature.h"
#include "tlog/merkle.h"
#include "tlog/proof_file.h"

namespace domicile::tlog {
namespace {

crypto::SigningKey new_key() {
  return crypto::SigningKey::generate(crypto::Algorithm::eddsa).value();
}

struct World {
  NoteSigner log = NoteSigner::create("ca.example.com/log", new_key()).value();
  std::vector<Cosigner> witnesses;
  std::string text = checkpoint_text({"ca.example.com/log", 3, crypto::sha256("root")});

  explicit World(int count) {
    for (int i = 0; i < count; ++i) {
      witnesses.push_back(
          Cosigner::create("w" + std::to_string(i) + ".example", new_key()).value());
    }
  }
  std::string lines() const {
    std::string out = "# policy\n\nlog " + log.verifier_key() + " https://ca.example.com/log\n";
    for (std::size_t i = 0; i < witnesses.size(); ++i) {
      out += "witness W" + std::to_string(i) + "\t" + witnesses[i].verifier_key() + "\n";
    }
    return out;
  }
  Policy policy(const std::string& rest) const { return Policy::parse(lines() + rest).value(); }
  std::string signed_by(const std::vector<std::size_t>& cosigners) const {
    std::string out = text + "\n" + log.sign_line(text).value();
    for (const auto i : cosigners) out += witnesses[i].cosign_line(text, 1'700'000'000).value();
    return out;
  }
};

TEST(Policy, TheQuorumOfNestedGroupsIsAsked) {
  const World world(6);
  const Policy policy =
      world.policy("group X 2 W0 W1 W2\ngroup Y any W3 W4 W5\ngroup both all X Y\nquorum both\n");
  EXPECT_TRUE(policy.require(world.signed_by({0, 2, 5})));
  EXPECT_TRUE(policy.require(world.signed_by({0, 1, 2, 3, 4, 5})));
  for (const auto& few :
       std::vector<std::vector<std::size_t>>{{}, {0, 1, 2}, {3, 4, 5}, {0, 3, 4, 5}, {0, 0, 3}}) {
    EXPECT_EQ(policy.require(world.signed_by(few)).error().reason, "quorum_missing");
  }
  const auto opened = policy.open(world.signed_by({4, 1})).value();
  EXPECT_EQ(opened.witnesses, (std::vector<std::size_t>{1, 4}));
  EXPECT_EQ(opened.log_keys.size(), 1u);
}

TEST(Policy, NoneAsksForNoWitnessAndAWitnessMayBeTheQuorum) {
  const World world(2);
  EXPECT_TRUE(world.policy("quorum none").require(world.signed_by({})));
  EXPECT_FALSE(world.policy("quorum none").needs_witnesses());
  EXPECT_TRUE(world.policy("quorum W1").require(world.signed_by({1})));
  EXPECT_FALSE(world.policy("quorum W1").require(world.signed_by({0})));
}

TEST(Policy, AKnownWitnessesFalseCosignatureRejects) {
  const World world(2);
  const std::string other = checkpoint_text({"ca.example.com/log", 4, crypto::sha256("else")});
  const auto forged = world.signed_by({0}) + world.witnesses[1].cosign_line(other, 5).value();
  EXPECT_EQ(world.policy("quorum W0").require(forged).error().reason, "signature_invalid");
}

TEST(Policy, WitnessesAloneDoNotMakeALog) {
  const World world(1);
  const auto alone = world.text + "\n" + world.witnesses[0].cosign_line(world.text, 5).value();
  EXPECT_EQ(world.policy("quorum W0").require(alone).error().reason, "signature_unknown");
}

TEST(Policy, WhileAKeyIsRotatedEitherIsEnough) {
  const World world(0);
  const auto next = NoteSigner::create(world.log.name(), new_key()).value();
  const auto policy = Policy::of_logs({world.log.key(), next.key()});
  const std::string with_next = world.text + "\n" + next.sign_line(world.text).value();
  EXPECT_EQ(policy.require(world.signed_by({}))->log_keys[0].text(), world.log.verifier_key());
  EXPECT_EQ(policy.require(with_next)->log_keys[0].text(), next.verifier_key());
  EXPECT_EQ(
      policy.require(world.signed_by({}) + next.sign_line(world.text).value())->log_keys.size(),
      2u);
}

TEST(Policy, EveryMistakeNamesItsLine) {
  const World world(2);
  const std::string w = world.witnesses[0].verifier_key();
  const std::string log = world.log.verifier_key();
  for (const auto& [line, said] : std::vector<std::pair<std::string, std::string>>{
           {"nonsense", "none of"},
           {"log", "write: log"},
           {"log " + w, "type 0x01"},
           {"log " + log, "listed already"},
           {"witness W9 " + log, "type 0x04"},
           {"witness W9 " + w, "that of W0"},
           {"witness W0 " + Cosigner::create("x", new_key())->verifier_key(), "defined already"},
           {"witness none " + Cosigner::create("x", new_key())->verifier_key(), "reserved"},
           {"group G 1", "write: group"},
           {"group G 0 W0", "from 1 to 1"},
           {"group G 2 W0", "from 1 to 1"},
           {"group G 01 W0", "from 1 to 1"},
           {"group G any W0 W0", "already"},
           {"group G any W7", "not defined above"},
           {"group G any none", "not defined above"},
           {"group G any G", "not defined above"},
           {"quorum W7", "not defined above"},
           {"quorum", "write: quorum"},
           {"quorum none\nquorum none", "second quorum"},
           {"quorum \x01", "control"},
           {"", "no quorum line"}}) {
    const auto policy = Policy::parse(world.lines() + line + "\n");
    ASSERT_FALSE(policy) << line;
    EXPECT_NE(policy.error().message.find(said), std::string::npos) << policy.error().message;
    if (!line.empty()) {
      EXPECT_TRUE(policy.error().message.starts_with("line ")) << policy.error().message;
    }
  }
}

TEST(Cosignature, SaysWhenAndIsOfTheWitnessAlone) {
  const World world(2);
  const std::string lines = world.witnesses[0].cosign_line(world.text, 1'679'315'147).value() +
                            world.witnesses[1].cosign_line(world.text, 9).value();
  const auto mine = accept_cosignatures(world.text, lines, world.witnesses[0].key()).value();
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_EQ(cosigned_at(mine[0], world.witnesses[0].key()), 1'679'315'147u);
  EXPECT_FALSE(cosigned_at(mine[0], world.witnesses[1].key()));
  EXPECT_EQ(accept_cosignatures("other\n1\n\n", lines, world.witnesses[0].key()).error().reason,
            "signature_invalid");
  EXPECT_FALSE(accept_cosignatures(world.text, "", world.witnesses[0].key()));
}

TEST(ProofFile, EveryEntryOfATreeIsProvedAndNoOther) {
  World world(1);
  std::vector<std::string> entries;
  std::vector<Hash> leaves;
  Frontier frontier;
  for (int i = 0; i < 21; ++i) {
    entries.push_back("entry " + std::to_string(i));
    leaves.push_back(leaf_hash(entries.back()));
    frontier.append(leaves.back());
  }
  const std::function<Hash(unsigned, std::uint64_t)> node = [&](unsigned level, std::uint64_t at) {
    return level == 0 ? leaves[at]
                      : node_hash(node(level - 1, 2 * at), node(level - 1, 2 * at + 1));
  };
  world.text = checkpoint_text({world.log.name(), 21, frontier.root()});
  const Policy policy = world.policy("quorum W0");
  for (std::uint64_t i = 0; i < 21; ++i) {
    ProofFile file{std::nullopt, i,
                   inclusion_proof(
                       i, 21, [&](unsigned l, std::uint64_t n) { return Result<Hash>(node(l, n)); })
                       .value(),
                   world.signed_by({0})};
    if (i % 2 == 0) file.extra = "extra";
    const auto again = parse_proof_file(proof_text(file)).value();
    EXPECT_EQ(proof_text(again), proof_text(file));
    EXPECT_TRUE(verify_proof_file(again, entries[i], policy)) << i;
    EXPECT_EQ(verify_proof_file(again, "entry 99", policy).error().reason, "proof_invalid");
    file.index = (i + 1) % 21;
    EXPECT_EQ(verify_proof_file(file, entries[i], policy).error().reason, "proof_invalid");
    file.index = i;
    file.checkpoint = world.signed_by({});
    EXPECT_EQ(verify_proof_file(file, entries[i], policy).error().reason, "quorum_missing");
  }
}

TEST(ProofFile, WhatIsNotOneIsRefused) {
  const std::string hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
  const std::string head = "c2sp.org/tlog-proof@v1\n";
  EXPECT_TRUE(parse_proof_file(head + "index 0\n\n"));
  EXPECT_TRUE(parse_proof_file(head + "extra \nindex 0\n" + hash + "\n"));
  std::string many;
  for (int i = 0; i < 63; ++i) many += hash;
  EXPECT_TRUE(parse_proof_file(head + "index 0\n" + many + "\n"));
  for (const auto& bad : std::vector<std::string>{
           "", head, "c2sp.org/tlog-proof@v2\nindex 0\n\n", head + "index 0\n",
           head + "index 00\n\n", head + "index \n\n", head + "extra x\nindex 0\n\n",
           head + "index 0\nextra \n\n", head + "index 0\nshort\n\n",
           head + "index 0\n" + many + hash + "\n"}) {
    EXPECT_FALSE(parse_proof_file(bad)) << bad;
  }
  EXPECT_EQ(parse_add_checkpoint("old 12\n" + hash + "\nrest").value().old_size, 12u);
  EXPECT_EQ(parse_add_checkpoint("old 12\n" + hash + "\nrest").value().checkpoint, "rest");
  for (const auto& bad :
       std::vector<std::string>{"", "old\n\n", "old 01\n\n", "old -1\n\n", "Old 1\n\n", "old 1\n",
                                "old 1\n" + hash, "old 1\n" + many + hash + "\n"}) {
    EXPECT_FALSE(parse_add_checkpoint(bad)) << bad;
  }
}

}  // namespace
}  // namespace domicile::tlog
