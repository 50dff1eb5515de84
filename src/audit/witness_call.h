// One checkpoint put to one witness, and what came of it (c2sp.org/tlog-witness, the client's
// side). The witness tells the size it knows where ours is wrong, and is asked once more.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "http/client.h"
#include "tlog/merkle.h"
#include "tlog/policy.h"

namespace domicile::audit {

enum class WitnessAnswer {
  cosigned,
  away,      // not reached, or an answer that may be another one later
  conflict,  // it holds another history of this log than the log itself does
};

struct WitnessOutcome {
  WitnessAnswer answer = WitnessAnswer::away;
  std::string reason;   // stable: unreachable, refused_403, witness_ahead, witness_disagrees, ...
  std::string message;  // for the operator
  std::vector<tlog::NoteSignature> cosignatures{};
  std::uint64_t known_size = 0;  // what the witness knows now, as far as we know
};

// A consistency proof of our own log between two sizes, checked.
using ProveGrowth = std::function<Result<std::vector<tlog::Hash>>(const tlog::Checkpoint& now,
                                                                  std::uint64_t old_size)>;

// `note`: the signed checkpoint; `known_size`: what the witness is believed to know.
WitnessOutcome call_witness(http::Client& client, const tlog::PolicyWitness& witness,
                            const std::string& note, const tlog::Checkpoint& checkpoint,
                            std::uint64_t known_size, const ProveGrowth& prove);

}  // namespace domicile::audit
