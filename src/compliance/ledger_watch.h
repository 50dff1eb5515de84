// What the log cannot say by holding a record: that its disk runs full, that it refuses events, that
// its checkpoint is stale. Looked at every few seconds; a sign is given when it begins and again
// while it lasts, so that its alert goes on for as long as it is true. Pure; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "domain/event.h"

namespace domicile::compliance {

struct LedgerSigns {
  std::optional<double> disk_used;  // of the log's file system, 0 to 1; nullopt: not known
  std::uint64_t lost = 0;           // events that could not be stored, since the start
  std::string write_error;          // of the last write; empty: all is well
  WallTime unpublished_since{};     // zero: every durable record is committed to
  std::string publish_error;
};

struct LedgerSign {
  std::string_view rule;       // that finds its event, or raises the alert without one
  std::string_view operation;  // of its event
  std::string observed;
};

struct LedgerWatchOptions {
  double disk_used_max = 0.8;
  std::chrono::milliseconds stale_ms{30'000};
  std::chrono::milliseconds again_ms{5 * 60'000};
};

class LedgerWatch {
 public:
  explicit LedgerWatch(LedgerWatchOptions options) : options_(options) {}
  std::vector<LedgerSign> look(const LedgerSigns& signs, WallTime now);

 private:
  LedgerWatchOptions options_;
  std::uint64_t lost_ = 0;
  std::map<std::string_view, WallTime> told_;  // by operation
};

domain::Event event_of(const LedgerSign& sign, const domain::RegionId& region, WallTime now);

}  // namespace domicile::compliance
