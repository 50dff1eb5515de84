// What the doctor saw: one finding a check, each with what was seen and, where something is wrong,
// what to do. Fails come first, then warnings; within each, in the order of importance in which the
// checks are listed in Check. A check that could not be made is a finding too, never left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace domicile::app {

enum class Health { ok, warn, fail };
std::string_view to_string(Health health);

// The most important first: what loses or shows data, then what stops the node, then what will.
enum class Check {
  configuration,
  secret_files,
  routes,
  roles,
  node_role,
  database,
  database_region,
  database_region_open,
  server_version,
  durability,
  clock_database,
  certificate,
  certificate_name,
  certificate_chain,
  certificate_key,
  event_log_space,
  event_log,
  registry,
  snapshot,
  node_ready,
  upstream,
  peers,
  clock_peers,
  reference_login,
  reference_log,
  reference_stream,
  database_tls,
  pooler,
  application_role,
  application_pooling,
  statement_logging,
  prepared_transactions,
  idle_transactions,
  event_triggers,
};
std::string_view to_string(Check check);

struct DoctorFinding {
  Check check;
  Health health = Health::ok;
  std::string seen;
  std::string remedy;  // empty when ok
};

class DoctorReport {
 public:
  void ok(Check check, std::string seen);
  void warn(Check check, std::string seen, std::string remedy);
  void fail(Check check, std::string seen, std::string remedy);

  // In the order to work through.
  std::vector<DoctorFinding> findings() const;
  int exit_code() const;  // 0 all is well, 1 warnings, 2 something fails
  std::string text() const;
  std::string json() const;

 private:
  std::vector<DoctorFinding> findings_;
};

}  // namespace domicile::app
