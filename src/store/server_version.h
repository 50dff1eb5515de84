// Which PostgreSQL servers are safe enough to hold organizations apart. Each release line has a
// lowest minor version: the one that closes the last known hole in row security, privileges,
// planner statistics or the server's memory. Older ones are refused, with the names of the holes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace domicile::store {

struct KnownHole {
  const char* cve;
  const char* what;
  // The minor version that closes it, by line; 0: the line never had it.
  int fixed_15;
  int fixed_16;
  int fixed_17;
  int fixed_18;
};
const std::vector<KnownHole>& known_holes();

// `version` as PQserverVersion gives it: 150018. Code::invalid with reason "server_too_old" names
// what is open.
Result<void> check_server_version(int version);
std::string version_text(int version);  // "15.18"

}  // namespace domicile::store
