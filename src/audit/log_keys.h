// The keys that sign a log's checkpoints. In the key folder (mode 0700, never inside what is served
// or handed to an auditor):
//
//   current                 the ids of the keys that sign, one a line, the newest first
//   log-<id>.pem            a private key (PKCS #8, mode 0600); id: 8 hex digits, as in its verifier key
//   verifier-keys           every key that ever signed, as verifier keys, the newest last
//
// Rotation: rotate() adds a key in front; while two are current, both sign every checkpoint, so that
// readers who know only one of them go on. retire() ends the older ones: their private part is
// removed, the verifier key stays, because old checkpoints are evidence.
//
// A value; open() again to see another process's rotation. One thread at a time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "tlog/note.h"

namespace domicile::audit {

class LogKeys {
 public:
  // Reads the folder; makes it, with a first key, where absent. `origin` names the log and its keys.
  static Result<LogKeys> open(const std::filesystem::path& folder, const std::string& origin);
  static Result<LogKeys> in_memory(const std::string& origin);  // for tests

  const std::string& origin() const { return origin_; }
  const std::vector<tlog::NoteSigner>& signers() const { return signers_; }
  const std::vector<tlog::NoteKey>& verifiers() const { return verifiers_; }
  std::string verifier_text() const;  // lines, the newest last

  // Changes the folder at `folder`; what a crash leaves is the old set or the new one.
  static Result<LogKeys> rotate(const std::filesystem::path& folder, const std::string& origin);
  static Result<LogKeys> retire(const std::filesystem::path& folder, const std::string& origin);

 private:
  explicit LogKeys(std::string origin) : origin_(std::move(origin)) {}
  Result<void> add_new_key(const std::filesystem::path& folder);
  Result<void> write_lists(const std::filesystem::path& folder) const;

  std::string origin_;
  std::vector<tlog::NoteSigner> signers_;  // the newest first
  std::vector<tlog::NoteKey> verifiers_;
};

}  // namespace domicile::audit
