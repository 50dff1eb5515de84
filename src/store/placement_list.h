// The registry's list of the organizations of one region, as a file: what `region reconcile`
// compares with.
//
//   {"region": "ca-central-1", "revision": 42,
//    "organizations": [{"key": "7", "epoch": 3, "state": "active"}]}
//
// state: active or suspended; organizations that are closed, moving away or homed elsewhere are not
// listed. The whole file is checked before anything is made of it: unknown members, keys of another
// type, duplicates and negative epochs are Code::invalid with the place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/region_store.h"

namespace domicile::store {

struct PlacementList {
  domain::RegionId region;
  std::uint64_t revision = 0;
  std::vector<PlacedHere> organizations;
};
Result<PlacementList> parse_placement_list(std::string_view json, domain::KeyType key_type);
std::string to_json(const PlacementList& list);

}  // namespace domicile::store
