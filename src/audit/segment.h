// Segments of the event file: `events-<sequence of its first record, 20 digits>.jsonl`, each a run
// of framed lines whose sequences follow each other. Pure: works on bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/event_line.h"

namespace domicile::audit {

std::string segment_name(std::uint64_t first_sequence);
// nullopt: not a segment's name (other files in the folder are none of the ledger's business).
std::optional<std::uint64_t> parse_segment_name(std::string_view name);
std::vector<std::uint64_t> segments_in(const std::vector<std::string>& names);  // ascending

enum class Tail {
  clean,    // the segment ends with a whole record
  torn,     // what follows the last whole record is the rest of a write that never finished
  damaged,  // records that were once durable are missing or changed: not for us to cut away
};

struct SegmentScan {
  std::uint64_t valid_bytes = 0;    // up to the end of the last whole record
  std::uint64_t next_sequence = 0;  // after it
  Tail tail = Tail::clean;
  std::string problem;  // for the operator, when not clean
};

// Visits whole records in order, as long as each follows its predecessor. `sealed`: what stands in
// front of the record (event_line.h), or nothing.
//
// A tail is torn, and only then, when everything in it is explained by a last write that a crash
// cut short: an unfinished line at the very end, lines with NULs (blocks that never reached the
// disk), and beyond such a hole only whole records of the same batch. That batch was not
// acknowledged, or a disk lost what it had promised to keep. Anything else is damage.
using VisitLine =
    std::function<void(const LineFrame&, std::string_view line, std::string_view sealed)>;
SegmentScan scan_segment(std::string_view bytes, std::uint64_t first_sequence,
                         const VisitLine& visit = {});

}  // namespace domicile::audit
