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

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "reference/peer.h"

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

class Applier {
 public:
  // Events and clock outlive it. Connects to nothing yet.
  Applier(ApplierOptions options, domain::EventSink& events, const Clock& clock);
  ~Applier();
  void start();
  void stop();

  ApplierStatus status() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::reference
