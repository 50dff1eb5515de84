// This node as a witness of other logs (c2sp.org/tlog-witness): POST .../add-checkpoint. It
// cosigns a log's checkpoint only when that continues the last one it cosigned, so a log cannot
// show one history here and another one there. All it learns is a size and a hash.
//
// Whose logs: those whose verifier keys it was given, no others. There is no other authentication;
// what is asked for is public, and a checkpoint without the log's signature is answered 403.
//
//   200  signature lines, after the checkpoint was stored (one file a log, replaced atomically)
//   400  not a request of this form, or a proof from a larger size
//   403  no signature by a known key of that log; 404 a log that is not known
//   409  another size than the last one cosigned (body: that size), or the same with another root
//   422  the proof does not lead from the last one to this one
//   500  what was stored cannot be read: this witness signs nothing for that log until a person
//        has looked. Forgetting would be signing anything.
//
// Two histories of one log, and a proof that fails under the log's own signature, are events, once
// until that log is cosigned again. Thread-safe; one request a log at a time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"
#include "http/message.h"
#include "tlog/cosignature.h"
#include "tlog/note.h"
#include "tlog/proof_file.h"

namespace domicile::audit {

constexpr std::string_view kAddCheckpointPath = "/v1/witness/add-checkpoint";

struct WitnessServiceOptions {
  std::filesystem::path directory;  // of what was cosigned; made where absent, mode 0700
  std::vector<tlog::NoteKey> logs;  // the name is the log's origin; several of one while it rotates
  domain::RegionId region;
};

class WitnessService {
 public:
  // `events` and `clock` outlive it. Code::invalid: a log's key that no log signs with, or the
  // cosigner's own key among the logs'.
  static Result<std::unique_ptr<WitnessService>> create(WitnessServiceOptions options,
                                                        tlog::Cosigner cosigner,
                                                        domain::EventSink& events,
                                                        const Clock& clock);

  http::Response handle(const http::Request& request);
  const tlog::Cosigner& cosigner() const { return cosigner_; }

 private:
  struct Log {
    std::string origin;
    std::vector<tlog::NoteKey> keys;
    std::filesystem::path file;
    std::mutex mutex;
    bool told = false;  // of a conflict, since the last cosignature
  };
  WitnessService(WitnessServiceOptions options, tlog::Cosigner cosigner, domain::EventSink& events,
                 const Clock& clock);
  http::Response add(Log& log, const tlog::AddCheckpoint& asked,
                     const tlog::SignedCheckpoint& offered, const http::Request& request);
  Result<tlog::Checkpoint> last_of(const Log& log) const;
  void tell(Log& log, const tlog::Checkpoint& last, const tlog::Checkpoint& offered,
            std::string_view reason);

  WitnessServiceOptions options_;
  tlog::Cosigner cosigner_;
  domain::EventSink& events_;
  const Clock& clock_;
  std::map<std::string, std::unique_ptr<Log>, std::less<>> logs_;  // by origin
};

}  // namespace domicile::audit
