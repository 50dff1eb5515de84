// One record of the event file: a line that is one OCSF JSON object and carries its own frame, so
// that jq and every SIEM read the file as it is, and the reader can tell a whole record from a torn
// or changed one.
//
//   {"activity_id":1, ... ,"metadata":{ ... "sequence":42 ... }, ... ,"unmapped":{ ... ,
//    "batch":40,"xxh3":"0123456789abcdef"}}\n
//
// The last two members of `unmapped` are the frame. `batch` is the sequence of the first record
// that was written with this one; every earlier record was durable before this batch was begun.
// `xxh3` is XXH3-64 (lower hex) of the line's bytes before the hash's own 16 digits. A JSON line
// holds no newline and no NUL, so the length is the distance to the newline, and a block that a
// disk never wrote shows as NULs. This finds damage, not forgery: against forgery stands the
// tamper-evident log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "audit/ocsf.h"

namespace domicile::audit {

constexpr std::size_t kLineBytesMax = 65'535;  // with its newline; what a tlog-tiles entry may hold

//
// A record with sealed personal fields has a line of its own in front, which is no event and never
// becomes an entry of the log:
//
//   {"sealed":"<text>","xxh3":"0123456789abcdef"}\n

// Appends the sealed line, if there is something sealed, the framed line, and their newlines.
void append_line(std::string& out, const OcsfRecord& record, std::uint64_t sequence,
                 std::uint64_t batch);

struct LineFrame {
  std::uint64_t sequence = 0;
  std::uint64_t batch = 0;
};

// `line` without its newline; nullopt unless the frame is whole and the hash fits.
std::optional<LineFrame> parse_line(std::string_view line);
// What is sealed; nullopt unless it is such a line, whole. Without its newline as well.
std::optional<std::string_view> parse_sealed_line(std::string_view line);

}  // namespace domicile::audit
