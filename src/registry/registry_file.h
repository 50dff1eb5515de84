// The file that `domicile registry init` reads: jurisdictions with their
// locations, and the regions. Strict: every finding with its line, unknown keys are errors.
//
//   [[jurisdiction]]
//   id = "CA"
//   locations = ["ca-central-1", "ca-west-1"]
//
//   [[region]]
//   id = "ca-central-1"                 # named after its primary location
//   jurisdiction = "CA"
//   locations = ["ca-west-1"]           # further ones, optional: replicas and backups may lie there
//   url = "https://ca.example.com"      # base of the region's HTTP door
//   master = true                       # exactly one
#pragma once

#include <string_view>
#include <vector>

#include "domain/placement.h"

namespace domicile::registry {

struct Jurisdiction {
  domain::JurisdictionId id;
  std::vector<domain::LocationId> locations;
};

struct RegistryFile {
  std::vector<Jurisdiction> jurisdictions;
  std::vector<domain::Region> regions;
};

Result<RegistryFile> parse_registry_file(std::string_view toml, std::string_view name);

// Scheme, host and optional port: "https://ca.example.com:8443". Plain http is for this machine only.
Result<void> check_region_url(std::string_view url);

}  // namespace domicile::registry
