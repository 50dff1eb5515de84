// Free ports on the loopback interface. A region keeps its ports across starts, because people and
// registries remember its address; when somebody else has taken one meanwhile, another is chosen.
#pragma once

#include <cstdint>
#include <set>

#include "base/result.h"

namespace domicile::app {

bool port_is_free(std::uint16_t port);

// `wanted` when it is free and not in `taken`, else the next one that is, below the ephemeral
// range. Adds its answer to `taken`.
Result<std::uint16_t> choose_port(std::uint16_t wanted, std::set<std::uint16_t>& taken);

}  // namespace domicile::app
