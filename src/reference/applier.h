// Another region's side: follows the master's publisher and stores what comes. One thread applies, one pulls ahead.
//
// Exactly once: rows and the position they lead to are written in one transaction. The position is told to the publisher
// only when the database has it for good, so that its slot keeps whatever a crash here may still take back. Small
// transactions are committed together; a large one is stored piece by piece in one open transaction.
//
// Before anything is stored, the classes of all tables concerned are looked up in this region's own catalog, in the very
// transaction. What may not be stored stops the sync: state, finding and event say why, and every few seconds it is tried
// again, so that it goes on by itself once the cause is gone.
//
// Every frame is an event (reference.apply) that is durable before the commit that makes its rows visible.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "pg/connection.h"
#include "reference/peer.h"
#include "wire/pgoutput.h"

namespace domicile::reference {

struct ApplierOptions {
  Secret dsn;  // of a login that is a member of domicile_reference and not of domicile_owner
  domain::RegionId region;
  PeerOptions peer;
  std::chrono::milliseconds retry_min{100};
  std::chrono::milliseconds retry_max{5'000};
  std::chrono::milliseconds lag_limit{
      60'000};                      // what is behind by more, or down for longer, is a finding
  std::size_t piece_rows = 20'000;  // of one transaction that are held in memory
};

struct ApplierStatus {
  std::string state;  // as domicile.reference_source has it
  std::string reason;
  std::string detail;
  std::string position;
  std::uint64_t rows = 0;  // since the start of the node, as they came
  std::uint64_t bytes = 0;
  std::int64_t lag_ms_last = -1, lag_ms_p50 = -1, lag_ms_p99 = -1;  // -1: not known
};

// A snapshot of this region's database, as long as its holder lives.
struct HeldSnapshot {
  std::string name;
  std::unique_ptr<pg::Connection> holder;
};

class Applier {
 public:
  // Events and clock outlive it. Connects to nothing yet.
  Applier(ApplierOptions options, domain::EventSink& events, const Clock& clock);
  ~Applier();
  void start();
  void stop();

  ApplierStatus status() const;

  // Runs `choose` while nothing is being applied: its value is a position of the master. Then applies exactly the
  // transactions that commit before it, and runs `body` before any later one. Both run on the applier's thread. Code::timeout
  // when that took longer than `at_most`, Code::unavailable while the stream is down. For several threads.
  Result<void> at_point(const std::function<Result<wire::Lsn>()>& choose,
                        const std::function<Result<void>()>& body,
                        std::chrono::milliseconds at_most);
  // The same, with a snapshot of this database at that point as its result.
  Result<HeldSnapshot> at_point(const std::function<Result<wire::Lsn>()>& choose,
                                std::chrono::milliseconds at_most);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::reference
