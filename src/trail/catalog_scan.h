// What a server's catalogs say about its trail: roles that no row security binds, settings without
// which the log is blind, sessions that are open now. The log tells what happened; this tells what is,
// also when somebody silenced the log. (Whether such roles, and ways for rows to leave, may be there
// at all is asked by the checks, DOM-ROL and DOM-PUB.)
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::trail {

struct OpenSession {
  std::uint64_t pid = 0;
  std::string started;  // with the pid: this session and no later one
  std::string user;
  std::string database;
  std::string application;
  std::string address;  // empty: local, or not for us to see
};

struct CatalogScan {
  std::set<std::string> superusers;             // SUPERUSER or BYPASSRLS
  std::map<std::string, std::string> settings;  // those of audit_setting()
  std::vector<OpenSession> sessions;            // of clients, without our own
  std::uint64_t own_pid = 0;                    // this scan's session: the log must tell of it
};

Result<CatalogScan> scan_catalog(const std::string& dsn);

// What the settings should be and are not: "log_connections is off". Empty: the log sees.
std::vector<std::string> blind_settings(const std::map<std::string, std::string>& settings);
// DDL at least, by log_statement or pgaudit.
bool statements_logged(const std::map<std::string, std::string>& settings);

}  // namespace domicile::trail
