// Where organizations live. A jurisdiction (Canada) holds locations; a region is a jurisdiction
// with a primary location, and is where an organization's data is homed. Every change of a
// placement carries a higher epoch: whoever holds an older epoch is refused. Values; no I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/names.h"

namespace domicile::domain {

enum class PlacementState {
  active,     // served at its home
  suspended,  // known, served nowhere
  moving,     // frozen between two homes: 503 with Retry-After
  closed,     // tombstone: the key and the slug are never given out again
};
std::string_view to_string(PlacementState state);
Result<PlacementState> parse_placement_state(std::string_view text);

struct Placement {
  RegionId region;
  Epoch epoch = 0;
  PlacementState state = PlacementState::active;
  friend bool operator==(const Placement&, const Placement&) = default;
};

struct Region {
  RegionId id;
  JurisdictionId jurisdiction;
  std::vector<LocationId> locations;  // the primary one first
  std::string url;  // base of the region's HTTP door, "https://ca.example.com", no slash at the end
  bool master = false;  // masters the registry and the reference data
  friend bool operator==(const Region&, const Region&) = default;
};

struct Organization {
  OrgKey key;
  Slug slug;
  Placement placement;
  std::uint64_t revision =
      0;  // registry revision that last changed it; strictly increasing over all organizations
  friend bool operator==(const Organization&, const Organization&) = default;
};

}  // namespace domicile::domain
