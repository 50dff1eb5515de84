#include "domain/placement.h"

#include <fmt/format.h>

namespace domicile::domain {

std::string_view to_string(PlacementState state) {
  switch (state) {
    case PlacementState::active: return "active";
    case PlacementState::suspended: return "suspended";
    case PlacementState::moving: return "moving";
    case PlacementState::closed: return "closed";
  }
  return "closed";
}

Result<PlacementState> parse_placement_state(std::string_view text) {
  for (auto state : {PlacementState::active, PlacementState::suspended, PlacementState::moving,
                     PlacementState::closed}) {
    if (text == to_string(state)) return state;
  }
  return fail(Code::invalid, fmt::format("'{}' is not a placement state", text));
}

}  // namespace domicile::domain
