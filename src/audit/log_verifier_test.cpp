#include "audit/log_verifier.h"

#include <gtest/gtest.h>

#include "audit/event_line.h"
#include "audit/event_samples.h"
#include "audit/log_fixture.h"
#include "audit/log_prover.h"
#include "tlog/proof_file.h"

namespace domicile::audit {
namespace {

std::string plain(std::uint64_t i) { return "entry " + std::to_string(i); }

// Framed event lines, as the ledger writes them.
std::string framed(std::uint64_t i) {
  domain::Event event;
  event.operation = "op" + std::to_string(i);
  std::string line;
  append_line(line, to_ocsf(event).front(), i + 1, i + 1);
  line.pop_back();
  return line;
}

LogReport verify(const LogFixture& log, VerifyOptions options = {}) {
  auto source = open_log_source(log.folder.string()).value();
  if (!options.policy) options.policy = log.policy;
  return verify_log(*source, options).value();
}

std::string problems_of(const LogReport& report) {
  std::string out;
  for (const auto& problem : report.problems) out += problem + "\n";
  return out;
}

TEST(LogVerifier, AWholeLogHasNoProblemAtAnyEdge) {
  LogFixture log;
  std::string kept;
  std::uint64_t kept_size = 0;
  for (const std::uint64_t size : {0, 1, 2, 255, 256, 257, 511, 512, 700, 65'535, 65'536, 65'537}) {
    log.grow_to(size, plain);
    log.publish();
    const auto report = verify(log, {.since = kept, .threads = 2});
    EXPECT_EQ(problems_of(report), "") << size;
    EXPECT_EQ(report.entries, size);
    EXPECT_EQ(report.checkpoint.size, size);
    EXPECT_TRUE(report.signature_checked && !report.records);
    EXPECT_EQ(report.ahead, 0u);
    if (!kept.empty()) EXPECT_EQ(report.since->size, kept_size);
    kept = log.signed_checkpoint();
    kept_size = size;
  }
}

TEST(LogVerifier, EveryChangedByteIsFoundAndItsFileNamed) {
  LogFixture log;
  log.grow_to(259, framed);
  log.publish();
  log.grow_to(262, framed);
  log.publish();
  ASSERT_EQ(problems_of(verify(log)), "");
  ASSERT_TRUE(verify(log).records);
  for (const auto& file : log.files()) {
    const std::string good = log.read(file);
    const std::size_t step = good.size() > 2000 ? 397 : 13;
    for (std::size_t at = 0; at < good.size(); at += step) {
      std::string changed = good;
      changed[at] = static_cast<char>(changed[at] ^ 0x40);
      log.write(file, changed);
      const auto report = verify(log, {.threads = 1});
      EXPECT_NE(problems_of(report).find(file), std::string::npos)
          << file << " byte " << at << ":\n"
          << problems_of(report);
    }
    for (const std::string& changed : {good + "x", good.substr(0, good.size() - 1), good + good}) {
      log.write(file, changed);
      EXPECT_NE(problems_of(verify(log)).find(file), std::string::npos) << file;
    }
    log.write(file, good);
  }
  EXPECT_EQ(problems_of(verify(log)), "");
}

TEST(LogVerifier, AMissingFileIsNamed) {
  LogFixture log;
  log.grow_to(700, plain);
  log.publish();
  for (const auto& file : log.files()) {
    const std::string good = log.read(file);
    std::filesystem::remove(log.folder / file);
    EXPECT_NE(problems_of(verify(log)).find(file), std::string::npos) << file;
    log.write(file, good);
  }
}

TEST(LogVerifier, EntriesThatRetentionRemovedFromTheFrontAreToldAndTheRestIsProved) {
  LogFixture log;
  log.grow_to(1'000, framed);
  log.publish();
  std::filesystem::remove(log.folder / "tile/entries/000");
  std::filesystem::remove(log.folder / "tile/entries/001");
  EXPECT_NE(problems_of(verify(log)).find("--trimmed 512"), std::string::npos);
  EXPECT_FALSE(verify(log, {.trimmed_max = 511}).problems.empty());
  const auto report = verify(log, {.trimmed_max = 512});
  EXPECT_EQ(problems_of(report), "");
  EXPECT_EQ(report.trimmed, 512u);
  EXPECT_TRUE(report.records);
  // Without their hashes they are not retained but lost; and a hole is not a front.
  const std::string tile = log.read("tile/0/001");
  std::filesystem::remove(log.folder / "tile/0/001");
  EXPECT_NE(problems_of(verify(log, {.trimmed_max = 512})).find("tile/0/001"), std::string::npos);
  log.write("tile/0/001", tile);
  std::filesystem::remove(log.folder / tlog::bundle_path(3, 232));
  EXPECT_FALSE(verify(log, {.trimmed_max = 1'000}).problems.empty());
}

TEST(LogVerifier, WhatTheLogItselfRecordsAsTrimmedNeedsNoWord) {
  LogFixture log;
  log.grow_to(600, framed);
  log.grow_to(601, [](std::uint64_t i) {
    domain::Event event;
    event.kind = domain::EventKind::log_changed;
    event.outcome = domain::Outcome::allowed;
    event.operation = "log.trimmed";
    event.details = {{"first_kept", "257"}};
    std::string line;
    append_line(line, to_ocsf(event).front(), i + 1, i + 1);
    line.pop_back();
    return line;
  });
  log.publish();
  std::filesystem::remove(log.folder / "tile/entries/000");
  EXPECT_EQ(problems_of(verify(log)), "");
  EXPECT_EQ(verify(log).trimmed, 256u);
  std::filesystem::remove(log.folder / "tile/entries/001");  // more than was recorded
  EXPECT_NE(problems_of(verify(log)).find("no record of the log says"), std::string::npos);
}

TEST(LogVerifier, TheLastWitnessedCheckpointCountsWhileTheNewestIsNotWitnessedYet) {
  LogFixture log;
  const auto witness = tlog::Cosigner::create("w.example", LogFixture::new_key()).value();
  const auto policy = tlog::Policy::parse("log " + log.signer.verifier_key() + "\nwitness w " +
                                          witness.verifier_key() + "\nquorum w\n")
                          .value();
  const auto cosigned = [&] {
    const std::string text = tlog::checkpoint_text(log.checkpoint());
    return log.signed_checkpoint() + witness.cosign_line(text, 1'700'000'000).value();
  };
  log.grow_to(300, plain);
  log.publish();
  EXPECT_NE(problems_of(verify(log, {.policy = policy})).find("no quorum"), std::string::npos);
  log.write("checkpoint.witnessed", cosigned());
  log.grow_to(520, plain);
  log.publish();
  const auto report = verify(log, {.policy = policy});
  EXPECT_EQ(problems_of(report), "");
  EXPECT_EQ(report.witnessed, 300u);
  ASSERT_EQ(report.witnesses.size(), 1u);
  EXPECT_EQ(report.witnesses[0].time_s, 1'700'000'000u);
  // A node that publishes while it is read: what is witnessed may be newer than what was read first.
  const std::string before = log.read("checkpoint");
  log.grow_to(530, plain);
  log.publish();
  log.write("checkpoint.witnessed", cosigned());
  log.write("checkpoint", before);
  EXPECT_EQ(problems_of(verify(log, {.policy = policy})), "");
  EXPECT_EQ(verify(log, {.policy = policy}).checkpoint.size, 530u);
  // A history that its witnesses did not see.
  LogFixture other;
  other.grow_to(600, [](std::uint64_t i) { return "other " + std::to_string(i); });
  other.signer = log.signer;
  other.publish();
  other.write("checkpoint.witnessed", cosigned());
  EXPECT_NE(problems_of(verify(other, {.policy = policy})).find("does not continue"),
            std::string::npos);
}

TEST(LogVerifier, AFileThatDoesNotBelongIsNamedAndOneOfTheFutureIsCounted) {
  LogFixture log;
  log.grow_to(300, plain);
  log.publish();
  const std::string checkpoint = log.read("checkpoint");
  log.grow_to(301, plain);
  log.publish();
  log.write("checkpoint", checkpoint);
  EXPECT_EQ(problems_of(verify(log)), "");
  EXPECT_EQ(verify(log).ahead, 2u);
  log.write("tile/0/000.p/0", "");
  EXPECT_NE(problems_of(verify(log)).find("tile/0/000.p/0"), std::string::npos);
}

TEST(LogVerifier, ReorderedInsertedAndDroppedEntriesAreFound) {
  for (int how = 0; how < 4; ++how) {
    LogFixture log;
    log.grow_to(600, framed);
    log.publish();
    const std::string signed_for = log.read("checkpoint");
    if (how == 0) std::swap(log.entries[7], log.entries[8]);
    if (how == 1) log.entries.insert(log.entries.begin() + 9, framed(9));
    if (how == 2) log.entries.erase(log.entries.begin() + 300);
    if (how == 3) log.entries[3] = framed(4);
    log.entries.resize(600);
    log.leaves.clear();
    for (const auto& entry : log.entries) log.leaves.push_back(tlog::leaf_hash(entry));
    log.publish();  // every tile fits the changed entries: the history is rewritten whole
    const std::string rewritten = log.read("checkpoint");
    log.write("checkpoint", signed_for);
    const auto report = verify(log);
    EXPECT_NE(problems_of(report).find("root"), std::string::npos) << problems_of(report);
    EXPECT_NE(problems_of(report).find("not the record with sequence"), std::string::npos);
    // Signed anew by the log's own key, it is the kept checkpoint that finds it.
    log.write("checkpoint", rewritten);
    const auto anew = verify(log, {.since = signed_for});
    EXPECT_NE(problems_of(anew).find("does not continue"), std::string::npos) << problems_of(anew);
  }
}

TEST(LogVerifier, ATileAndItsEntriesChangedTogetherAreNamed) {
  LogFixture log;
  log.grow_to(600, plain);
  log.publish();
  log.entries[300] = "forged";
  std::string bundle;
  std::vector<tlog::Hash> hashes;
  for (std::size_t i = 256; i < 512; ++i) {
    tlog::append_entry(bundle, log.entries[i]);
    hashes.push_back(tlog::leaf_hash(log.entries[i]));
  }
  log.write(tlog::bundle_path(1), bundle);
  log.write(tlog::tile_path({0, 1}), tlog::tile_bytes(hashes));
  EXPECT_NE(problems_of(verify(log)).find("tile/0/001: does not hold what was signed"),
            std::string::npos)
      << problems_of(verify(log));
}

TEST(LogVerifier, ALogThatWasCutIsFoundByTheCheckpointThatSomebodyKept) {
  LogFixture log;
  log.grow_to(600, plain);
  const std::string kept = log.signed_checkpoint();
  log.entries.resize(500);
  log.leaves.resize(500);
  log.publish();
  EXPECT_EQ(problems_of(verify(log)), "");
  EXPECT_NE(problems_of(verify(log, {.since = kept})).find("was cut"), std::string::npos);
}

TEST(LogVerifier, AnotherKeysCheckpointIsNotBelieved) {
  LogFixture log, other;
  log.grow_to(3, plain);
  log.publish();
  const auto report = verify(log, {.policy = other.policy});
  EXPECT_FALSE(report.signature_checked);
  EXPECT_NE(problems_of(report).find("checkpoint: no signature is by a known key"),
            std::string::npos);
}

TEST(LogProver, WhatItProvesVerifiesAndATamperedTileIsNoProof) {
  LogFixture log;
  log.grow_to(1'000, plain);
  log.publish();
  auto source = open_log_source(log.folder.string()).value();
  for (const std::uint64_t i : {0, 1, 255, 256, 767, 768, 999}) {
    const auto proof = prove_entry(*source, log.policy, i).value();
    EXPECT_EQ(proof.entry, plain(i));
    const auto file = tlog::parse_proof_file(tlog::proof_text(proof.file)).value();
    EXPECT_TRUE(tlog::verify_proof_file(file, plain(i), log.policy));
    EXPECT_FALSE(tlog::verify_proof_file(file, plain(i + 1), log.policy));
  }
  EXPECT_EQ(prove_entry(*source, log.policy, 1'000).error().code, Code::not_found);
  EXPECT_TRUE(prove_growth(*source, log.checkpoint(), 300));
  std::string tile = log.read("tile/0/000");
  tile[40] = static_cast<char>(tile[40] ^ 1);
  log.write("tile/0/000", tile);
  EXPECT_EQ(prove_entry(*source, log.policy, 0).error().reason, "proof_invalid");
  EXPECT_EQ(prove_growth(*source, log.checkpoint(), 100).error().reason, "proof_invalid");
}

}  // namespace
}  // namespace domicile::audit
