// The durable event log of one region: an event is acknowledged when it is on the disk, and never
// before. Events wait in a bounded queue; one writer thread takes all that wait, writes them as one
// batch of framed OCSF lines (event_line.h) into the current segment, flushes once, and then hands
// each its sequence: the cost of a flush is shared by whoever came meanwhile (group commit). Where
// nobody waits for any of them (submit_unhurried()), it lets others come for up to `unhurried_ms`.
//
// What it promises:
//   - Sequences start at 1, rise by 1, and go on after a restart. A cross-region event takes two
//     (ocsf.h); its completion gets the first.
//   - After kill -9 or power loss at any byte, open() finds every acknowledged record. A write that
//   was
//     cut short is cut away; its bytes are kept beside the segment (`torn-...`), and a log_changed
//     event says so. A segment that is damaged in any other way is refused (Code::internal):
//     evidence is for a person to judge.
//   - When the disk fails or is full, the events at hand get Code::unavailable (reason
//     "audit_unavailable") and leave no trace; the next ones succeed once there is space. A full
//     queue refuses at once (Code::unavailable, "audit_queue_full"). On a full disk administrators'
//     acts are still recorded, in space set aside for them (space_reserve.h).
//   - An event of another region is refused (Code::invalid): entries never leave their region.
//
// Completions run on the ledger's notifier thread, in order of the batches, also for refusals; they
// must not block for long and must not destroy the ledger. Destruction writes what waits, completes
// it, and publishes a checkpoint of it. One writer per folder (a lock file).
//
// The segments are a write-ahead log: a third thread takes what is durable there into the published,
// tamper-evident log (log_integrator.h) and signs a checkpoint once per `checkpoint_ms` while events
// come. When that fails, events are still taken (they are durable), stats() says so, and the
// checkpoint grows stale, which is an alert; it is tried again with every interval.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "audit/log_keys.h"
#include "audit/storage.h"
#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"

namespace domicile::audit {

class PersonalVault;

enum class Durability {
  flush,  // fdatasync before an acknowledgement
  none,   // throw-away logs in tests: survives kill -9, not power loss
};

struct LedgerOptions {
  std::filesystem::path directory;  // made where absent, mode 0700
  domain::RegionId region;          // events without a region get this one
  const Clock* clock = nullptr;     // outlives the ledger; events without a time get its now()
  std::size_t queue_events_max = 65'536;
  std::size_t queue_bytes_max = 64u << 20;
  std::uint64_t segment_bytes = 64u
                                << 20;  // a new segment starts once the current one is this long
  std::chrono::milliseconds unhurried_ms{10};
  std::size_t reserve_bytes = 4u << 20;  // for administrators when the disk is full
  Durability durability = Durability::flush;
  PersonalVault* vault = nullptr;  // outlives the ledger; null: persons stand in the records
  std::unique_ptr<Folder> folder;  // for tests; null: the directory on disk

  std::string origin;  // the log's name in its checkpoints, for ever; empty: domicile/<region>
  std::filesystem::path key_directory;  // log_keys.h; empty: `keys` in the directory
  std::optional<LogKeys> keys;          // for tests, instead of key_directory
  std::chrono::milliseconds checkpoint_ms{1'000};
  // Called with each published checkpoint, on the thread that publishes: hand it on, do not wait.
  std::function<void(const std::string& note)> on_checkpoint;
};

struct LedgerStats {
  std::uint64_t last_sequence = 0;   // durable
  std::uint64_t batches = 0;         // written since open
  std::uint64_t records = 0;         // written since open
  std::uint64_t failed = 0;          // events that a failed write refused
  std::uint64_t refused = 0;         // events that a full queue, or validation, refused
  std::uint64_t queued = 0;          // waiting now
  std::uint64_t torn_bytes = 0;      // cut away at open
  bool administrators_only = false;  // the disk is full, and the reserve is spent
  std::string last_error;            // of the last failed write; empty once a later one succeeded
  std::uint64_t published = 0;       // entries that the last checkpoint commits to
  // When the oldest durable entry that no checkpoint commits to became durable; epoch: there is none.
  WallTime unpublished_since{};
  std::string publish_error;  // of the last attempt; empty once a later one succeeded
};

class Ledger final : public domain::EventSink {
 public:
  static Result<std::unique_ptr<Ledger>> open(LedgerOptions options);
  ~Ledger() override;

  void submit(domain::Event event, Completion done) override;
  void submit_unhurried(domain::Event event, Completion done) override;
  LedgerStats stats() const;

  // A checkpoint of this log with witnesses' signatures, as on_checkpoint's receiver collected them:
  // what is published from now on. Any thread.
  Result<void> publish_witnessed(std::uint64_t size, const std::string& note);
  // Reads the key folder again, after a rotation, and signs with what is current. Any thread.
  Result<void> reload_keys();

 private:
  class Impl;
  explicit Ledger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace domicile::audit
