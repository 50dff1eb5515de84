// Whose signatures make a checkpoint believable (c2sp.org/tlog-policy): the log's keys, the
// witnesses, and the quorum of witnesses that must have cosigned.
//
//   log <verifier key> [<url>]
//   witness <name> <verifier key> [<url>]
//   group <name> all|any|<k> <name>...
//   quorum <name>|none
//
// A log has several lines while its key is rotated: any of them is enough. Witnesses sign with keys
// of type 0x04. At most 256 logs, witnesses and groups each. Immutable, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tlog/checkpoint.h"
#include "tlog/note.h"

namespace domicile::tlog {

struct PolicyLog {
  NoteKey key;
  std::string url;  // empty: none
};

struct PolicyWitness {
  std::string name;  // in the policy file only
  NoteKey key;
  std::string url;  // submission prefix; empty: none
};

// A checkpoint that fulfils a policy.
struct WitnessedCheckpoint {
  Checkpoint checkpoint;
  Note note;
  std::vector<NoteKey> log_keys;         // those that signed
  std::vector<std::size_t> witnesses{};  // those that cosigned, as indexes, ascending
};

class Policy {
 public:
  // Every error names its line.
  static Result<Policy> parse(std::string_view text);
  // These log keys, and no witness.
  static Policy of_logs(std::vector<NoteKey> keys);

  const std::vector<PolicyLog>& logs() const { return logs_; }
  const std::vector<PolicyWitness>& witnesses() const { return witnesses_; }
  bool needs_witnesses() const { return quorum_ != kNone; }

  // `witnessed`: indexes of witnesses that cosigned.
  bool has_quorum(const std::vector<std::size_t>& witnessed) const;
  // This policy with more log keys to believe: for a file that lists none.
  Policy with_logs(const std::vector<NoteKey>& keys) const;

  // The signatures of a checkpoint under this policy, quorum or not. Code::invalid, Code::denied as
  // open_checkpoint(): a signature of a known log or witness that fails rejects the checkpoint.
  Result<WitnessedCheckpoint> open(std::string_view content) const;
  // open(), and the quorum is there: Code::denied, reason "quorum_missing".
  Result<WitnessedCheckpoint> require(std::string_view content) const;

 private:
  friend class PolicyReader;
  static constexpr std::size_t kNone = SIZE_MAX;
  // A defined name: a witness, or a group of names that were defined before it.
  struct Node {
    std::size_t witness = kNone;
    std::size_t threshold = 0;
    std::vector<std::size_t> members{};
  };
  std::vector<PolicyLog> logs_;
  std::vector<PolicyWitness> witnesses_;
  std::vector<Node> nodes_;
  std::size_t quorum_ = kNone;
};

}  // namespace domicile::tlog
