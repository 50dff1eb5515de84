// Turns the write-ahead log into the published log: takes entries that are durable there into the
// tree, writes tiles and bundles, and then, when all of them are durable, a signed checkpoint. The
// order is the whole of its safety: a crash anywhere leaves the last checkpoint with everything that
// it commits to, and the entries beyond it in the write-ahead log, from where the next open() goes
// on. Files beyond the last checkpoint are written anew, with the same content.
//
// Segments of the write-ahead log are removed when all that they hold lies in full bundles of a
// published checkpoint.
//
// One thread at a time. The folder outlives it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "audit/log_keys.h"
#include "audit/log_tree.h"
#include "audit/wal_reader.h"

namespace domicile::audit {

inline constexpr const char* kCheckpointFile = "checkpoint";
inline constexpr const char* kWitnessedFile = "checkpoint.witnessed";
inline constexpr const char* kVerifierKeysFile = "verifier-keys";

class LogIntegrator {
 public:
  // Reads the published log. Code::internal, reason "audit_damaged", when tiles, checkpoint and
  // write-ahead log do not belong together.
  static Result<LogIntegrator> open(Folder& folder, LogKeys keys);

  // Takes entries up to the sequence `durable` (some, when there are many: call again until size()
  // is there) and publishes a checkpoint. Its whole text; empty when nothing was new. After an error
  // everything published stands, and the next call tries again.
  Result<std::string> advance(std::uint64_t durable);
  // The published tree, signed again: after a rotation.
  Result<std::string> publish_again(LogKeys keys);
  // A checkpoint of this log with witnesses' signatures: kept as the last witnessed one, and as the
  // checkpoint where no later one was published since.
  Result<void> publish_witnessed(std::uint64_t size, const std::string& note);

  std::uint64_t published() const { return published_; }
  // The write-ahead log is needed from this sequence on.
  std::uint64_t needed_from() const { return published_bundled_ + 1; }
  const LogKeys& keys() const { return keys_; }

 private:
  LogIntegrator(Folder& folder, LogKeys keys)
      : folder_(&folder), keys_(std::move(keys)), wal_(folder) {}
  Result<void> restore();
  Result<std::string> publish();
  void prune();

  Folder* folder_;
  LogKeys keys_;
  WalReader wal_;
  LogTree tree_;
  bool restored_ = false;  // false: something failed half-way, the tree is to be read again
  std::uint64_t published_ = 0;
  std::uint64_t published_bundled_ = 0;
};

}  // namespace domicile::audit
