// Maintenance windows of a regional database (sql/region/0302_maintenance.sql): begun with a ticket
// and an end, recorded, and proved over. What is relaxed by time arms itself when the window
// expires; event triggers and lent memberships come back with end_maintenance().
//
// Needs the installer's rights (a member of domicile_owner, CREATEROLE); event triggers also a
// connection that may make them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/connection.h"

namespace domicile::store {

struct MaintenanceRequest {
  std::string ticket;
  std::chrono::seconds lasts{0};   // a minute to seven days
  std::vector<std::string> allow;  // ddl, read, write, event_triggers_off
  std::vector<std::string> roles;  // who may read and write; empty: the login itself
};

struct MaintenanceWindow {
  std::int64_t id = 0;
  std::string ticket;
  std::vector<std::string> allow;
  std::vector<std::string> roles;
  std::string begun_at;  // RFC 3339
  std::string begun_by;
  std::string expires_at;
  std::string ended_at;  // "" while it is not ended
  std::string ended_by;
  bool expired = false;  // past its end, ended or not
  std::int64_t seconds_left = 0;
  std::optional<bool> armed;           // the proof at its end
  std::vector<std::string> left_open;  // what the proof found
  std::int64_t acts = 0;               // DDL statements written down
  std::int64_t let_pass = 0;           // those that would have been refused
};

// Code::conflict (55000) while another window is not ended; the same request again goes on with the
// window that it opened. `superuser` may be null.
Result<MaintenanceWindow> begin_maintenance(pg::Connection& connection,
                                            const MaintenanceRequest& request,
                                            pg::Connection* superuser);
// Ends it in any case; the window returned says whether everything is armed.
Result<MaintenanceWindow> end_maintenance(pg::Connection& connection, pg::Connection* superuser);
// The last ones, the newest first.
Result<std::vector<MaintenanceWindow>> maintenance_windows(pg::Connection& connection, int limit);

}  // namespace domicile::store
