// What `domicile check` is to look at, and what it is to expect: one TOML file, validated whole
// before anything is asked of anybody. Every error of the file is reported at once; unknown keys
// are errors. Paths are relative to the file's folder.
//
//   exclude = ["DOM-RTE"]                    # left out on purpose: ids, or beginnings of ids
//
//   [registry]                               # what the registry says, for DOM-ROL-005
//   snapshot = "registry.snapshot"           # a node's copy (state_directory)
//
//   [[region]]
//   name = "ca-central-1"
//   dsn_file = "ca.dsn"                      # a member of domicile_checker; mode 0600 when it has
//   a password system_identifier = "7300..."            # as `domicile region init` printed them
//   database_id = "5f0c..."
//   placements = "ca.placements.json"        # instead of [registry]: what `region reconcile` reads
//   url = "https://ca.example.com"           # the region's door
//   ca_file = "ca.pem"                       # whom to trust as the door; absent: the system's
//   authorities event_directory = "findings-ca"          # each result becomes a finding event here
//   roles = ["installer"]                    # may have CREATEROLE or belong to domicile_owner
//   replicas = ["standby from 10.0.0.7"]     # stand inside the jurisdiction; physical slots by
//   name wal_archive = "s3://... in ca-central-1" # where the archive lies server_log = "on the
//   database's host"    # where the server's log stays
//   [[region.canary]]
//   table = "app.lessons"
//   column = "title"
//   value = "domicile-canary-4b1f0c2d9e"
//   [[region.probe]]                         # an organization that is homed in this region
//   organization = "7"
//   path = "/organizations/7/courses"
//   token_file = "org7.token"                # or client_id and client_secret_file
//
//   [[accept]]                               # a finding that a person accepts, until a day
//   check = "DOM-RLS-004"
//   region = "ca-central-1"
//   resource = "app.courses_slug_key"        # absent: every resource
//   reason = "slugs are public"
//   until = 2027-06-30
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/names.h"

namespace domicile::compliance {

struct Canary {
  std::string schema;
  std::string table;
  std::string column;
  std::string value;
};

struct Probe {
  domain::OrgKey organization;
  std::string path;
  std::filesystem::path token_file;  // or a client:
  std::string client_id;
  std::filesystem::path client_secret_file;
};

struct CheckedRegion {
  domain::RegionId name;
  std::filesystem::path dsn_file;
  std::string system_identifier;
  std::string database_id;
  std::filesystem::path placements;
  std::string url;
  std::filesystem::path ca_file;
  std::filesystem::path event_directory;
  std::vector<std::string> roles;
  std::vector<std::string> replicas;
  std::string wal_archive;
  std::string server_log;
  std::vector<Canary> canaries;
  std::vector<Probe> probes;
};

struct Acceptance {
  std::string check;
  std::string region;    // "": every region
  std::string resource;  // "": every resource
  std::string reason;
  std::int64_t until_s = 0;  // Unix seconds, exclusive
};

struct CheckConfig {
  std::vector<std::string> exclude;
  std::filesystem::path registry_snapshot;
  std::vector<CheckedRegion> regions;
  std::vector<Acceptance> accepted;
  unsigned sample = 20;  // organizations of each region that are looked for in the others
};

// `folder` resolves relative paths; `name` stands in front of every error.
Result<CheckConfig> parse_check_config(std::string_view text, const std::string& name,
                                       const std::filesystem::path& folder);
Result<CheckConfig> load_check_config(const std::filesystem::path& file);

// What is wrong with a configuration, whether it came from a file or from flags; empty: nothing.
std::vector<std::string> problems_of(const CheckConfig& config);

}  // namespace domicile::compliance
