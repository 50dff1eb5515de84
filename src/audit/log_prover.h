// A proof that anybody can check alone: that one entry is in a log (c2sp.org/tlog-proof), or that a
// log continues what it was. Made from the log's tiles, which are not believed: a proof that does
// not lead to the signed root is never given out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audit/log_source.h"
#include "tlog/policy.h"
#include "tlog/proof_file.h"

namespace domicile::audit {

struct EntryProof {
  tlog::ProofFile file;
  std::string entry;  // its bytes, as they were hashed
};

// Entry `index`, from 0, against the checkpoint that the log shows now, or the last witnessed one
// where that is the one the policy believes. Code::not_found: the
// checkpoint has no such entry; Code::denied: the policy does not believe it, or "proof_invalid":
// the log's files contradict its checkpoint.
Result<EntryProof> prove_entry(LogSource& source, const tlog::Policy& policy, std::uint64_t index);

// Between two sizes of one tree, read at the width of the newer; checked against both roots.
Result<std::vector<tlog::Hash>> prove_growth(LogSource& source, const tlog::Checkpoint& now,
                                             std::uint64_t old_size);

}  // namespace domicile::audit
