// Free ports on the loopback interface. A region keeps its ports across starts, because people and
// registries remember its address; when somebody else has taken one meanwhile, another is chosen.
//
// Between choosing a port and listening on it a set-up may take a minute, so a chosen port is claimed:
// as a name in the abstract socket namespace, which another `domicile up` of whatever user sees, and
// which the kernel forgets with its holder.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "base/result.h"

namespace domicile::app {

class PortClaims {
 public:
  PortClaims() = default;
  ~PortClaims();
  PortClaims(const PortClaims&) = delete;
  PortClaims& operator=(const PortClaims&) = delete;

  // False: another process has claimed it.
  bool claim(std::uint16_t port);

 private:
  std::map<std::uint16_t, int> held_;
};

bool port_is_free(std::uint16_t port);

// `wanted` when it is free and not in `taken`, else the next one that is, below the ephemeral
// range. Adds its answer to `taken`, and claims it.
Result<std::uint16_t> choose_port(std::uint16_t wanted, std::set<std::uint16_t>& taken,
                                  PortClaims& claims);

}  // namespace domicile::app
