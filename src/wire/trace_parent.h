// The one field of W3C Trace Context (Level 1, section 3.2) that a door lets through: `traceparent`, which
// holds only numbers. What is not exactly of its form is no trace: it is dropped, as the
// recommendation says, and nothing of it is recorded.
#pragma once

#include <optional>
#include <string_view>

namespace domicile::wire {

// The trace-id of a well-formed value: 32 lower-case hex digits, not all zero. A view into `value`.
std::optional<std::string_view> trace_id_of(std::string_view value);

}  // namespace domicile::wire
