// Checks that need more than one region: the same question is asked in all of them, and the answers
// are held against each other. They do not rely on what a region says about itself.
#pragma once

#include <vector>

#include "compliance/database_checks.h"

namespace domicile::compliance {

// One region's open end. `database` is null when it was not reached.
struct RegionUnderCheck {
  const CheckedRegion* config = nullptr;
  pg::Connection* database = nullptr;
  RegionFacts facts;
  Findings* findings = nullptr;
};

// DOM-EP-003: no two regions are the same database, or copies of one another.
void check_lineage(std::vector<RegionUnderCheck>& regions);
// DOM-CAN-001: organizations homed in one region, looked up by key in every table of the others.
// DOM-CAN-002: the configured canary rows.
void check_canaries(std::vector<RegionUnderCheck>& regions, unsigned sample);
// DOM-RTE-001 and -002: each probe's request at home, and at every other region's door.
void check_routing(std::vector<RegionUnderCheck>& regions);

}  // namespace domicile::compliance
