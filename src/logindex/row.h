// A line of the log as a row of the index, in COPY's text format. Pure and thread-safe.
//
// Whatever the line holds, the row is one that PostgreSQL takes: text without NUL, an address only
// when it is one, a time within the calendar. A row that the database refuses would stop the index
// at that place for good, and an attacker would like to choose the place.
//
// A personal field that is still a commitment ("sha256:...": erased, or not opened) becomes NULL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace domicile::logindex {

// In the order of kCopyColumns.
inline constexpr std::string_view kCopyColumns =
    "sequence, \"time\", log, class_uid, activity_id, severity_id, event_code, outcome, region, "
    "organization, acting_organization, actor, actor_role, subject, source_ip, operation, "
    "resource, reason, request_id, details";

// What the loader must know of a row beside its text.
struct RowFacts {
  std::int64_t time_ms = 0;
  bool erased = false;  // the line is the log's word that a person or an organization was erased
  std::string organization;  // of that erasure
};

// Appends the row and its newline. `line` is the opened OCSF JSON; one that is no JSON becomes a row
// of its sequence alone, so that the count still agrees with the log.
RowFacts append_row(std::string& out, std::int64_t log, std::uint64_t sequence,
                    std::string_view line);

}  // namespace domicile::logindex
