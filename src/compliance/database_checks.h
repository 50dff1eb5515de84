// The checks of one region that its database answers, asked as a member of domicile_checker through
// the functions of sql/region/0200_checks.sql. Each reports into Findings; a query that fails makes
// its checks errors, never passes.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compliance/findings.h"
#include "domain/names.h"
#include "pg/connection.h"

namespace domicile::compliance {

// What the database says it is.
struct Endpoint {
  std::string region;
  std::string key_type;
  std::string database_id;
  std::string system_identifier;
  bool open = false;
};

struct HomedOrganization {
  std::string key;
  std::uint64_t epoch = 0;
};

// What the registry says of one region: active organizations with their epochs.
struct RegistryHomes {
  std::uint64_t revision = 0;
  std::map<std::string, std::uint64_t, std::less<>> epochs;
};

// A table whose rows name their organization.
struct KeyedTable {
  std::string schema;
  std::string name;
};

// What the checks across regions need to know of each region.
struct RegionFacts {
  std::optional<Endpoint> endpoint;
  std::vector<HomedOrganization> homed;  // active here
  bool homed_known = false;
  std::vector<KeyedTable> tables;
  bool tables_known = false;
};

// The ids that these functions answer for; when the database is not reached none of them has run.
std::span<const std::string_view> database_check_ids();

void check_endpoint(pg::Connection& database, const CheckedRegion& config, Findings& findings,
                    RegionFacts& facts);
void check_violations(pg::Connection& database, const CheckedRegion& config, Findings& findings);
void check_server(pg::Connection& database, const CheckedRegion& config, Findings& findings);
// Reference tables and their sync.
void check_reference(pg::Connection& database, Findings& findings);
void check_tables(pg::Connection& database, Findings& findings, RegionFacts& facts);
// `registry`: the organizations that the registry homes here; nullopt: it was not asked.
void check_homed(pg::Connection& database, const std::optional<RegistryHomes>& registry,
                 Findings& findings, RegionFacts& facts);
// After check_endpoint and check_homed.
void check_guard(pg::Connection& database, Findings& findings, const RegionFacts& facts);

}  // namespace domicile::compliance
