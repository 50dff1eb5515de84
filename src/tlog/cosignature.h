// Cosignatures of witnesses (c2sp.org/tlog-cosignature): "at this time, the largest consistent tree
// that I have seen of this log is this one". A witness signs with a key of its own, never with a
// log's: a cosignature that comes from the log's own key would prove nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/signing_key.h"
#include "tlog/note.h"

namespace domicile::tlog {

class Cosigner {
 public:
  // An Ed25519 key that serves this witness alone: what is signed does not name it.
  static Result<Cosigner> create(std::string name, crypto::SigningKey key);

  const NoteKey& key() const { return key_; }
  std::string verifier_key() const { return key_.text(); }
  // The signature line over a checkpoint's text, with its newline. `time_s`: Unix seconds.
  Result<std::string> cosign_line(std::string_view checkpoint_text, std::uint64_t time_s) const;

 private:
  Cosigner(NoteKey key, crypto::SigningKey signing)
      : key_(std::move(key)), signing_(std::move(signing)) {}
  NoteKey key_;
  crypto::SigningKey signing_;
};

// When the witness signed, as it says; nullopt: the signature is not by this key. Does not verify.
std::optional<std::uint64_t> cosigned_at(const NoteSignature& signature, const NoteKey& key);

// Of a witness's answer (signature lines) those by `key`, verified. Code::denied: one by that key
// fails ("signature_invalid"), or there is none ("signature_unknown").
Result<std::vector<NoteSignature>> accept_cosignatures(std::string_view checkpoint_text,
                                                       std::string_view lines, const NoteKey& key);

}  // namespace domicile::tlog
