// Reading a whole log, also while its writer is at work: whole records only, in order, each with its
// frame checked, from the published bundles and the write-ahead log behind them. What is wrong is
// listed, not thrown: a reader of evidence wants all of it. This finds damage; what finds forgery is
// the verifier.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/event_line.h"
#include "audit/storage.h"
#include "base/clock.h"

namespace domicile::audit {

struct FolderReport {
  std::uint64_t bundles = 0;   // full ones of the published log
  std::uint64_t segments = 0;  // of the write-ahead log
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t first_sequence = 0;  // 0: none
  std::uint64_t last_sequence = 0;
  std::uint64_t unfinished_bytes = 0;  // after the last record: a write under way, or cut short
  std::vector<std::string> problems;   // gaps, changed records, foreign regions; empty: all is well
};

struct EventRecord {
  std::uint64_t sequence = 0;
  std::string_view line;
  std::string_view sealed;  // its personal fields; empty: it has none
};

// `visit` may be empty; returning false stops reading (the report then covers what was read).
using VisitRecord = std::function<bool(const EventRecord& record)>;
Result<FolderReport> read_events(Folder& folder, const VisitRecord& visit);

// The few facts of a line that lists and filters need, taken from its canonical form without
// parsing the rest. Empty where the record has none.
struct RecordFacts {
  std::string_view kind;
  std::string_view outcome;
  std::string_view organization;
  std::string_view request_id;
  std::int64_t time_ms = 0;
};
RecordFacts facts_of(std::string_view line);

struct EventFilter {
  std::string kind;  // empty: any
  std::string outcome;
  std::string organization;
  std::optional<std::int64_t> from_ms;  // inclusive
  std::optional<std::int64_t> to_ms;    // exclusive
  bool admits(const RecordFacts& facts) const;
};

}  // namespace domicile::audit
