// Any bytes as a note, a checkpoint, a verifier key, a policy, a proof file and what is put to a
// witness: refused, or read into something that is written again exactly as it came. Nothing is
// ever believed of it: the fuzzer holds no key.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "tlog/proof_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const auto key = tlog::NoteSigner::create(
      "log", crypto::SigningKey::generate(crypto::Algorithm::eddsa).value());
  if (const auto note = tlog::parse_note(bytes)) {
    CHECK(note->content() == bytes);
    CHECK(!tlog::verify_note(*note, {&key->key(), 1}));
  }
  if (const auto checkpoint = tlog::parse_checkpoint(bytes)) {
    CHECK(tlog::checkpoint_text(*checkpoint) == bytes);
  }
  if (const auto known = tlog::NoteKey::parse(bytes)) CHECK(known->text() == bytes);
  if (const auto proof = tlog::parse_proof_file(bytes)) CHECK(tlog::proof_text(*proof) == bytes);
  if (const auto asked = tlog::parse_add_checkpoint(bytes)) {
    CHECK(tlog::add_checkpoint_body(*asked) == bytes);
  }
  (void)tlog::parse_key_list(bytes);
  if (const auto policy = tlog::Policy::parse(bytes)) {
    std::vector<std::size_t> all(policy->witnesses().size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    CHECK(policy->has_quorum(all));  // every group can be fulfilled
    CHECK(policy->needs_witnesses() != policy->has_quorum({}));
    CHECK(!policy->open(bytes));
  }
  return 0;
}
