// How many processors this process may really use: those that its affinity names, and no more than
// its control group pays for. A container with a quota of two on a machine of sixty-four gets two
// loops, not sixty-four that take turns.
#pragma once

#include <optional>
#include <string_view>

namespace domicile::runtime {

unsigned available_cores();  // at least 1

// The quota of a cpu.max file (cgroup v2: "200000 100000"), rounded up; nullopt for "max" and for
// what is not understood.
std::optional<unsigned> cores_of_quota(std::string_view cpu_max);

}  // namespace domicile::runtime
