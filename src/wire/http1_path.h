// One reading of a path, or none. An organization check is worth nothing when the upstream reads
// the path in another way than the check did, so a path that has a second reading (dot segments,
// empty segments, encoded slashes, backslashes, NUL, double encoding, overlong UTF-8) is refused,
// and what remains is forwarded in its canonical form: escapes of unreserved characters decoded,
// other escapes in upper case (RFC 3986 section 6.2.2).
#pragma once

#include <span>
#include <string_view>

#include "wire/http1_fault.h"

namespace domicile::wire {

struct CleanPath {
  std::string_view canonical;  // percent-encoded: what the upstream gets
  std::string_view decoded;    // what policy is matched against; slashes only separate segments
};

// `scratch` must hold 2 * raw.size() bytes and outlive `out`. A path without escapes is not copied:
// both views are then `raw`.
Fault clean_path(std::string_view raw, std::span<char> scratch, CleanPath& out);

}  // namespace domicile::wire
