#include "trail/catalog_scan.h"

#include <fmt/format.h>

#include "trail/server_events.h"

namespace domicile::trail {
namespace {

constexpr std::size_t kSessionsMax = 10'000;

}  // namespace

Result<CatalogScan> scan_catalog(const std::string& dsn) {
  auto connection = TRY(pg::Connection::open(dsn));
  CatalogScan scan{.own_pid = static_cast<std::uint64_t>(connection.backend_pid())};
  const auto roles = TRY(connection.query(
      "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper OR rolbypassrls ORDER BY 1"));
  for (int i = 0; i < roles.size(); ++i) scan.superusers.emplace(roles.text(i, 0));
  const auto settings = TRY(connection.query("SELECT name, setting FROM pg_catalog.pg_settings"));
  for (int i = 0; i < settings.size(); ++i) {
    if (!audit_setting(settings.text(i, 0))) continue;
    scan.settings.emplace(settings.text(i, 0), settings.text(i, 1));
  }
  const auto sessions =
      TRY(connection.query("SELECT pid, coalesce(backend_start::text, ''), coalesce(usename, ''), "
                           "coalesce(datname, ''), "
                           "coalesce(application_name, ''), coalesce(host(client_addr), '') FROM "
                           "pg_catalog.pg_stat_activity WHERE "
                           "usename IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() AND "
                           "coalesce(backend_type, 'client backend') "
                           "IN ('client backend', 'walsender') ORDER BY pid LIMIT " +
                           std::to_string(kSessionsMax)));
  for (int i = 0; i < sessions.size(); ++i) {
    scan.sessions.push_back({.pid = static_cast<std::uint64_t>(sessions.integer(i, 0)),
                             .started = std::string(sessions.text(i, 1)),
                             .user = std::string(sessions.text(i, 2)),
                             .database = std::string(sessions.text(i, 3)),
                             .application = std::string(sessions.text(i, 4)),
                             .address = std::string(sessions.text(i, 5))});
  }
  return scan;
}

std::vector<std::string> blind_settings(const std::map<std::string, std::string>& settings) {
  std::vector<std::string> out;
  const auto is = [&](const char* name, std::string_view wanted) {
    const auto at = settings.find(name);
    if (at != settings.end() && at->second != wanted) {
      out.push_back(fmt::format("{} is {}", name, at->second));
    }
  };
  is("log_connections", "on");
  is("logging_collector", "on");
  const auto destination = settings.find("log_destination");
  if (destination != settings.end() && !destination->second.contains("jsonlog") &&
      !destination->second.contains("csvlog")) {
    out.push_back(fmt::format("log_destination is {}, which has neither jsonlog nor csvlog",
                              destination->second));
  }
  const auto level = settings.find("log_min_messages");
  if (level != settings.end() && (level->second == "fatal" || level->second == "panic")) {
    out.push_back(fmt::format("log_min_messages is {}", level->second));
  }
  return out;
}

bool statements_logged(const std::map<std::string, std::string>& settings) {
  const auto value = [&](const char* name) {
    const auto at = settings.find(name);
    return at == settings.end() ? std::string() : at->second;
  };
  const std::string level = value("log_statement");
  return level == "ddl" || level == "mod" || level == "all" ||
         (value("shared_preload_libraries").contains("pgaudit") && value("pgaudit.log") != "none");
}

}  // namespace domicile::trail
