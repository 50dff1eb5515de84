// Signed notes (c2sp.org/signed-note): a text, an empty line, and signature lines
//
//   — <key name> base64(key id [4 bytes] || signature)
//
// Notes are parsed strictly; there is one way to write each. Signatures of keys that the reader
// does not know are ignored, which is how keys rotate and witnesses are added; a signature of a
// known key that does not verify rejects the whole note; and without one that verifies, the text
// says nothing. Values are immutable and thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/signing_key.h"
#include "crypto/verifying_key.h"
#include "tlog/signature_type.h"

namespace domicile::tlog {

constexpr std::size_t kNoteBytesMax = 1u << 20;
constexpr std::size_t kNoteSignaturesMax = 100;

// A verifier key, written `name+id in hex+base64(type || public key)`.
class NoteKey {
 public:
  // Code::invalid: not of that form, an id that is not the key's, a type we do not verify.
  static Result<NoteKey> parse(std::string_view text);
  // An Ed25519 key under that name.
  static Result<NoteKey> create(std::string name, SignatureType type,
                                std::shared_ptr<const crypto::VerifyingKey> key);

  const std::string& name() const { return name_; }
  std::uint32_t id() const { return id_; }
  SignatureType type() const { return type_; }
  std::string public_bytes() const { return key_->parameters().x; }
  std::string text() const;

  // The signature as it stands on the line, without the key id.
  bool verify(std::string_view text, std::string_view signature) const;

 private:
  NoteKey(std::string name, SignatureType type, std::shared_ptr<const crypto::VerifyingKey> key);
  std::string name_;
  SignatureType type_;
  std::shared_ptr<const crypto::VerifyingKey> key_;
  std::uint32_t id_;
};

// A file of verifier keys, one a line; empty lines and lines that start with '#' are skipped.
// Errors name the line.
Result<std::vector<NoteKey>> parse_key_list(std::string_view text);

struct NoteSignature {
  std::string name;
  std::uint32_t key_id = 0;
  std::string bytes;  // behind the key id

  bool is_by(const NoteKey& key) const { return name == key.name() && key_id == key.id(); }
  std::string line() const;  // with its newline
};

struct Note {
  std::string text;  // with its final newline
  std::vector<NoteSignature> signatures;

  std::string content() const;  // the whole note
};

// Code::invalid: what is wrong and where.
Result<Note> parse_note(std::string_view content);
// Signature lines alone, as a witness answers; at least one.
Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines);

// Which of `keys` signed, as indexes, ascending; not empty. Code::denied: a known key's signature
// fails (reason "signature_invalid"), or none is by a known key ("signature_unknown").
Result<std::vector<std::size_t>> verify_note(const Note& note, std::span<const NoteKey> keys);

// Signs texts as a log signs its checkpoints.
class NoteSigner {
 public:
  // An Ed25519 key; a name that is_key_name() (text.h).
  static Result<NoteSigner> create(std::string name, crypto::SigningKey key);

  const std::string& name() const { return key_.name(); }
  const NoteKey& key() const { return key_; }
  std::string verifier_key() const { return key_.text(); }
  // The signature line of a note with this text (which ends in a newline), with its newline.
  Result<std::string> sign_line(std::string_view text) const;

 private:
  NoteSigner(NoteKey key, crypto::SigningKey signing)
      : key_(std::move(key)), signing_(std::move(signing)) {}
  NoteKey key_;
  crypto::SigningKey signing_;
};

}  // namespace domicile::tlog
