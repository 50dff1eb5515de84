// Checkpoints (c2sp.org/tlog-checkpoint): the text by which a log commits to all that it holds.
//
//   <origin>\n<size>\n<base64 of the root hash>\n[<extension line>\n ...]
//
// A log never signs two that contradict each other: of two sizes, the smaller tree is a prefix of
// the larger.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/sha256.h"
#include "tlog/note.h"

namespace domicile::tlog {

struct Checkpoint {
  std::string origin;
  std::uint64_t size = 0;
  crypto::Digest256 root{};
  std::vector<std::string> extensions{};  // lines, not empty
};

std::string checkpoint_text(const Checkpoint& checkpoint);
Result<Checkpoint> parse_checkpoint(std::string_view text);

// A checkpoint that somebody known has signed.
struct SignedCheckpoint {
  Checkpoint checkpoint;
  Note note;
  std::vector<std::size_t> signers;  // indexes of the keys given, ascending
};

// Reads a signed checkpoint: the note verifies, and one of the keys that signed it bears the
// origin's name and signs as logs do. Code::invalid: not a checkpoint; Code::denied: as
// verify_note().
Result<SignedCheckpoint> open_checkpoint(std::string_view content, std::span<const NoteKey> keys);

}  // namespace domicile::tlog
