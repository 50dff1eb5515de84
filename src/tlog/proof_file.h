// Texts that carry a Merkle proof together with the checkpoint it leads to.
//
// A proof file (c2sp.org/tlog-proof) shows offline that an entry is in a log:
//
//   c2sp.org/tlog-proof@v1\n[extra <base64>\n]index <n>\n<hash>\n...\n\n<checkpoint>
//
// What is put to a witness (c2sp.org/tlog-witness, add-checkpoint) shows that a log has only grown:
//
//   old <size>\n<hash>\n...\n\n<checkpoint>
//
// Both are parsed strictly; the checkpoint is kept as it came, for its signatures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/sha256.h"
#include "tlog/checkpoint.h"
#include "tlog/policy.h"

namespace domicile::tlog {

constexpr std::size_t kProofHashesMax = 63;

struct ProofFile {
  std::optional<std::string> extra{};  // opaque and not authenticated
  std::uint64_t index = 0;
  std::vector<crypto::Digest256> proof{};
  std::string checkpoint{};  // the signed note
};

std::string proof_text(const ProofFile& file);
Result<ProofFile> parse_proof_file(std::string_view text);

// The entry is in the log whose checkpoint the file holds, and the policy believes that. The
// checkpoint on success; Code::denied: "proof_invalid", or as Policy::require().
Result<WitnessedCheckpoint> verify_proof_file(const ProofFile& file, std::string_view entry,
                                              const Policy& policy);

struct AddCheckpoint {
  std::uint64_t old_size = 0;
  std::vector<crypto::Digest256> proof{};
  std::string checkpoint{};  // the signed note
};

std::string add_checkpoint_body(const AddCheckpoint& request);
Result<AddCheckpoint> parse_add_checkpoint(std::string_view body);

}  // namespace domicile::tlog
