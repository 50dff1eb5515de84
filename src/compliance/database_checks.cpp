#include "compliance/database_checks.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/server_version.h"

namespace domicile::compliance {
namespace {

constexpr std::array<std::string_view, 5> kNotFromDatabase{
    "DOM-CAN-001", "DOM-CAN-002", "DOM-EP-003", "DOM-RTE-001", "DOM-RTE-002"};

bool contains(const std::vector<std::string>& values, std::string_view wanted) {
  return std::ranges::find(values, wanted) != values.end();
}

std::vector<std::string_view> make_ids() {
  std::vector<std::string_view> ids;
  for (const auto& check : check_definitions()) {
    if (std::ranges::find(kNotFromDatabase, check.id) == kNotFromDatabase.end())
      ids.push_back(check.id);
  }
  return ids;
}

void compare(Findings& findings, std::string_view what, const std::string& expected,
             std::string_view actual) {
  if (expected.empty()) return;
  if (expected != actual) {
    findings.fail("DOM-EP-001", "",
                  fmt::format("{} is {}, the configuration names {}", what, actual, expected));
  }
}

using Facts = std::multimap<std::string, std::string, std::less<>>;

std::string first(const Facts& facts, std::string_view name) {
  const auto at = facts.find(name);
  return at == facts.end() ? std::string() : at->second;
}

void judge_log(const Facts& facts, const CheckedRegion& config, Findings& findings) {
  const std::string statement = first(facts, "log_min_error_statement");
  const std::string parameters = first(facts, "log_parameter_max_length_on_error");
  const std::string seen =
      fmt::format("log_min_error_statement is {}, log_parameter_max_length_on_error is {}",
                  statement, parameters);
  const bool quiet =
      (statement == "log" || statement == "fatal" || statement == "panic") && parameters == "0";
  if (quiet) {
    findings.pass_unless_said("DOM-SET-002", seen, 1);
  } else if (!config.server_log.empty()) {
    findings.pass_unless_said(
        "DOM-SET-002", fmt::format("{}; declared: the log stays {}", seen, config.server_log), 1);
  } else if (!findings.said("DOM-SET-002")) {
    findings.fail("DOM-SET-002", "server log", seen);
  }
}

void judge_connection(const Facts& facts, Findings& findings) {
  const std::string from = first(facts, "client_address");
  if (first(facts, "tls") == "true") {
    findings.pass("DOM-CON-001", "", "TLS", 1);
  } else if (from == "socket" || from == "::1" || from.starts_with("127.")) {
    findings.pass("DOM-CON-001", "",
                  fmt::format("without TLS over {}, which does not leave the machine", from), 1);
  } else {
    findings.fail("DOM-CON-001", "", fmt::format("the connection from {} is not encrypted", from));
  }
}

// Each fact of this name that the configuration does not declare is a failure.
void undeclared(const Facts& facts, std::string_view name, std::string_view id,
                const std::vector<std::string>& declared, std::string_view what,
                Findings& findings) {
  const auto [begin, end] = facts.equal_range(name);
  for (auto at = begin; at != end; ++at) {
    if (!contains(declared, at->second)) findings.fail(id, at->second, std::string(what));
  }
}

void judge_roles(const Facts& facts, const CheckedRegion& config, Findings& findings) {
  undeclared(facts, "createrole", "DOM-ROL-001", config.roles,
             "may create roles, and is not declared", findings);
  findings.pass_unless_said("DOM-ROL-001",
                            fmt::format("declared: {}", fmt::join(config.roles, ", ")), 1);
  const auto [begin, end] = facts.equal_range("member");
  for (auto at = begin; at != end; ++at) {
    const std::string member = at->second.substr(at->second.rfind(' ') + 1);
    if (!contains(config.roles, member)) {
      findings.fail("DOM-ROL-006", member,
                    fmt::format("{}: a membership that is not declared", at->second));
    }
  }
  findings.pass_unless_said("DOM-ROL-006",
                            fmt::format("declared: {}", fmt::join(config.roles, ", ")), 1);
}

}  // namespace

std::span<const std::string_view> database_check_ids() {
  static const std::vector<std::string_view> ids = make_ids();
  return ids;
}

void check_endpoint(pg::Connection& database, const CheckedRegion& config, Findings& findings,
                    RegionFacts& facts) {
  const auto rows = database.query(
      "SELECT region, key_type, database_id, system_identifier, state, reason, open, in_recovery, "
      "timeline, approved_timeline "
      "FROM domicile.region_status()");
  if (!rows || rows->size() != 1) {
    const std::string why =
        rows ? "the database holds no region" : "domicile.region_status(): " + rows.error().message;
    for (const char* id : {"DOM-EP-001", "DOM-EP-002", "DOM-EP-004"}) findings.error(id, "", why);
    return;
  }
  facts.endpoint = Endpoint{.region = std::string(rows->text(0, 0)),
                            .key_type = std::string(rows->text(0, 1)),
                            .database_id = std::string(rows->text(0, 2)),
                            .system_identifier = std::string(rows->text(0, 3)),
                            .open = rows->boolean(0, 6)};
  compare(findings, "the database id", config.database_id, facts.endpoint->database_id);
  compare(findings, "the system identifier", config.system_identifier,
          facts.endpoint->system_identifier);
  if (config.database_id.empty() || config.system_identifier.empty()) {
    findings.not_run(
        "DOM-EP-001",
        fmt::format(
            "the configuration expects nothing: write system_identifier = \"{}\" and database_id = "
            "\"{}\" once you know that this is the right database",
            facts.endpoint->system_identifier, facts.endpoint->database_id));
  }
  findings.pass_unless_said(
      "DOM-EP-001",
      fmt::format("system identifier {}, database id {}", facts.endpoint->system_identifier,
                  facts.endpoint->database_id),
      1);
  if (facts.endpoint->region == config.name.text()) {
    findings.pass("DOM-EP-002", "", facts.endpoint->region, 1);
  } else {
    findings.fail("DOM-EP-002", "",
                  fmt::format("the database says that it is {}", facts.endpoint->region));
  }
  if (rows->text(0, 4) != "open") {
    findings.fail("DOM-EP-004", "",
                  fmt::format("the region is {}: {}", rows->text(0, 4), rows->text(0, 5)));
  } else if (rows->boolean(0, 7)) {
    findings.fail("DOM-EP-004", "", "the server is a standby");
  } else if (!facts.endpoint->open) {
    findings.fail("DOM-EP-004", "",
                  fmt::format("the server is on timeline {}, approved is {}", rows->text(0, 8),
                              rows->text(0, 9)));
  } else {
    findings.pass(
        "DOM-EP-004", "",
        fmt::format("open on timeline {}", rows->null(0, 8) ? "(not told)" : rows->text(0, 8)), 1);
  }
}

void check_server(pg::Connection& database, const CheckedRegion& config, Findings& findings) {
  const auto rows = database.query("SELECT name, value FROM domicile.check_server()");
  if (!rows) {
    for (const char* id :
         {"DOM-CON-001", "DOM-PUB-004", "DOM-PUB-007", "DOM-PUB-008", "DOM-ROL-001", "DOM-ROL-006",
          "DOM-SET-001", "DOM-SET-002", "DOM-SET-003", "DOM-SET-007", "DOM-SET-009"}) {
      findings.error(id, "", "domicile.check_server(): " + rows.error().message);
    }
    return;
  }
  Facts facts;
  for (int row = 0; row < rows->size(); ++row)
    facts.emplace(rows->text(row, 0), rows->text(row, 1));
  judge_connection(facts, findings);
  judge_log(facts, config, findings);
  judge_roles(facts, config, findings);
  undeclared(facts, "walsender", "DOM-PUB-007", config.replicas,
             "reads the log, and is not declared", findings);
  undeclared(facts, "physical_slot", "DOM-PUB-007", config.replicas,
             "keeps the log for a replica that is not declared", findings);
  findings.pass_unless_said("DOM-PUB-007",
                            fmt::format("declared: {}", fmt::join(config.replicas, ", ")), 1);
  if (first(facts, "archive_mode") != "off" && config.wal_archive.empty()) {
    findings.fail("DOM-PUB-008", "archive_mode",
                  "the log is archived, and where to is not declared");
  } else {
    findings.pass("DOM-PUB-008", "",
                  config.wal_archive.empty() ? "not archived" : "declared: " + config.wal_archive,
                  1);
  }
  undeclared(facts, "user_mapping", "DOM-PUB-004", {}, "a user mapping for another database",
             findings);
  undeclared(facts, "foreign_table", "DOM-PUB-004", {}, "a foreign table", findings);
  findings.pass_unless_said("DOM-PUB-004", "none", 1);
  undeclared(facts, "role_setting", "DOM-SET-001", {},
             "a setting that comes with the role or the database", findings);
  findings.pass_unless_said("DOM-SET-001", "none", 1);
  undeclared(facts, "prepared", "DOM-SET-003", {}, "a prepared transaction", findings);
  if (first(facts, "max_prepared_transactions") == "0") {
    findings.pass_unless_said("DOM-SET-003", "max_prepared_transactions is 0", 1);
  } else if (!findings.said("DOM-SET-003")) {
    findings.fail("DOM-SET-003", "max_prepared_transactions",
                  first(facts, "max_prepared_transactions"));
  }
  undeclared(facts, "event_trigger", "DOM-SET-009", {}, "runs on DDL", findings);
  findings.pass_unless_said("DOM-SET-009", "none", 1);
  if (auto safe = store::check_server_version(database.server_version()); safe) {
    findings.pass("DOM-SET-007", "", store::version_text(database.server_version()), 1);
  } else {
    findings.fail("DOM-SET-007", "", safe.error().message);
  }
}

void check_homed(pg::Connection& database, const std::optional<RegistryHomes>& registry,
                 Findings& findings, RegionFacts& facts) {
  const auto rows = database.query("SELECT key, epoch, state, homed FROM domicile.check_homed()");
  if (!rows) {
    findings.error("DOM-ROL-005", "", "domicile.check_homed(): " + rows.error().message);
    return;
  }
  std::map<std::string, std::uint64_t, std::less<>> homed;
  for (int row = 0; row < rows->size(); ++row) {
    if (!rows->boolean(row, 3)) continue;
    const auto epoch = static_cast<std::uint64_t>(rows->integer(row, 1));
    homed.emplace(rows->text(row, 0), epoch);
    if (rows->text(row, 2) == "active")
      facts.homed.push_back({std::string(rows->text(row, 0)), epoch});
  }
  facts.homed_known = true;
  if (!registry) {
    findings.not_run("DOM-ROL-005",
                     "no registry to compare with: name a node's snapshot in [registry], or the "
                     "region's placements");
    return;
  }
  for (const auto& [key, epoch] : registry->epochs) {
    const auto at = homed.find(key);
    if (at == homed.end()) {
      findings.fail("DOM-ROL-005", key, "the registry homes it here, the database does not");
    } else if (at->second != epoch) {
      findings.fail("DOM-ROL-005", key,
                    fmt::format("homed at epoch {}, the registry is at {}", at->second, epoch));
    }
  }
  for (const auto& [key, epoch] : homed) {
    if (!registry->epochs.contains(key)) {
      findings.fail("DOM-ROL-005", key, "homed here, but not by the registry");
    }
  }
  findings.pass_unless_said("DOM-ROL-005",
                            fmt::format("{} organizations of registry revision {}",
                                        registry->epochs.size(), registry->revision),
                            registry->epochs.size());
}

void check_guard(pg::Connection& database, Findings& findings, const RegionFacts& facts) {
  if (!facts.endpoint) {
    findings.not_run("DOM-GRD-010", "the database did not say what it is");
    return;
  }
  // Keys that no registry gives out.
  const std::string nowhere = facts.endpoint->key_type == "bigint" ? "-9223372036854775807"
                              : facts.endpoint->key_type == "uuid"
                                  ? "ffffffff-ffff-ffff-ffff-fffffffffffe"
                                  : "domicile:check:nowhere";
  std::string observed;
  const auto ask = [&](const std::string& key, bool admit) -> bool {
    const auto row = database.query("SELECT domicile.check_guard($1)", {key});
    if (!row || row->size() != 1) {
      findings.error("DOM-GRD-010", "", row ? "no answer" : row.error().message);
      return false;
    }
    const std::string answer(row->text(0, 0));
    observed += fmt::format("{}organization {}: {}", observed.empty() ? "" : "; ", key, answer);
    if ((answer == "true") != admit) {
      findings.fail("DOM-GRD-010", key,
                    fmt::format("the guard answers {} for an organization that is {}", answer,
                                admit ? "homed here" : "nowhere"));
    }
    return true;
  };
  if (!ask(nowhere, false)) return;
  if (!facts.homed.empty() && !ask(facts.homed.front().key, true)) return;
  findings.pass_unless_said("DOM-GRD-010", observed, facts.homed.empty() ? 1 : 2);
}

}  // namespace domicile::compliance
