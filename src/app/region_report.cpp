#include "app/region_report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::app {
namespace {

using Json = nlohmann::json;
using State = store::TableOutcome::State;

std::string_view word(State state) {
  switch (state) {
    case State::unchanged: return "unchanged";
    case State::changed: return "changed";
    case State::planned: return "planned";
    case State::blocked: return "blocked";
  }
  return "";
}

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Json finding_json(const store::Finding& finding) {
  return {{"kind", finding.kind},
          {"object", finding.object},
          {"detail", finding.detail},
          {"severity", finding.refuse ? "refuse" : "report"},
          {"known", finding.known}};
}

std::string finding_line(const store::Finding& finding) {
  return fmt::format("  {:7} {:24} {}: {}",
                     finding.known    ? "known"
                     : finding.refuse ? "refuse"
                                      : "report",
                     finding.kind, finding.object, finding.detail);
}

std::string dry_run_text(const store::InstallReport& report) {
  std::string out;
  for (const auto& step : report.migrations.pending) {
    out += fmt::format("-- step {:04} {} (sha256 {})\nBEGIN;\n{}COMMIT;\n\n", step.version,
                       step.name, step.sha256.substr(0, 16), step.sql);
  }
  for (const auto& table : report.tables) {
    if (table.state == State::unchanged) continue;
    out += fmt::format("-- table {}\n", to_string(table.table));
    for (const auto& note : table.notes) out += fmt::format("-- {}\n", note);
    if (!table.sql.empty()) out += "BEGIN;\n";
    for (const auto& statement : table.sql) out += statement + ";\n";
    if (!table.sql.empty()) out += "COMMIT;\n";
    out += "\n";
  }
  for (const auto& note : report.publication_notes)
    if (!report.publication.empty()) out += fmt::format("-- note: {}\n", note);
  for (const auto& statement : report.publication) out += statement + ";\n";
  for (const auto& grant : report.granted) out += grant + ";\n";
  if (out.empty()) return "-- nothing to do";
  return out + "-- a dry run: nothing was changed";
}

}  // namespace

std::string install_text(const store::InstallReport& report, bool dry_run) {
  if (dry_run) return dry_run_text(report);
  std::string out;
  int changed = 0;
  int planned = 0;
  int unchanged = 0;
  for (const auto& table : report.tables) {
    changed += table.state == State::changed;
    planned += table.state == State::planned;
    unchanged += table.state == State::unchanged;
    if (table.state != State::unchanged) {
      for (const auto& note : table.notes)
        out += fmt::format("  note    {}: {}\n", to_string(table.table), note);
    }
    if (table.state == State::blocked)
      out += fmt::format("  blocked {}: {}\n", to_string(table.table), table.blocked_by);
  }
  if (!report.changed())
    out += "nothing to do\n";
  else
    out += fmt::format(
        "schema: {} steps applied; tables: {} changed, {} planned, {} as they were; {} memberships "
        "granted\n",
        report.migrations.applied, changed, planned, unchanged, report.granted.size());
  if (!report.publication.empty())
    out +=
        fmt::format("publication of reference tables: {} statements\n", report.publication.size());
  for (const auto& note : report.publication_notes) out += fmt::format("  note    {}\n", note);
  if (!report.event_triggers) {
    out += fmt::format(
        "event triggers: not installed ({}). DDL is not refused when it is run; schedule `domicile "
        "region violations` instead, or run "
        "init once with --superuser-dsn-file\n",
        report.event_triggers_missing);
  }
  const auto listed = std::count_if(report.findings.begin(), report.findings.end(),
                                    [](const auto& f) { return !f.known || f.refuse; });
  if (listed > 0)
    out += fmt::format("{} findings (domicile region violations):\n", report.findings.size());
  for (const auto& finding : report.findings) out += finding_line(finding) + "\n";
  if (report.blocked())
    out += "some tables were locked by others for too long: run the same command again\n";
  out.pop_back();
  return out;
}

std::string install_json(const store::InstallReport& report, bool dry_run) {
  Json json = {{"dry_run", dry_run},
               {"first", report.first},
               {"changed", report.changed()},
               {"blocked", report.blocked()},
               {"event_triggers", report.event_triggers},
               {"granted", report.granted},
               {"publication", report.publication},
               {"publication_notes", report.publication_notes},
               {"steps", Json::array()},
               {"tables", Json::array()},
               {"findings", Json::array()}};
  for (const auto& step : report.migrations.pending) {
    json["steps"].push_back(
        {{"version", step.version}, {"name", step.name}, {"sha256", step.sha256}});
    if (dry_run) json["steps"].back()["sql"] = step.sql;
  }
  for (const auto& table : report.tables) {
    json["tables"].push_back({{"table", to_string(table.table)},
                              {"state", word(table.state)},
                              {"notes", table.notes},
                              {"sql", table.sql}});
    if (!table.blocked_by.empty()) json["tables"].back()["blocked_by"] = table.blocked_by;
  }
  for (const auto& finding : report.findings) json["findings"].push_back(finding_json(finding));
  return dump(json);
}

std::string reconcile_text(const std::vector<store::PlacementChange>& changes,
                           const store::RegionStatus& before, bool dry_run) {
  std::string out;
  for (const auto& change : changes)
    out += fmt::format("  {:9} {}\n", change.change, change.organization);
  const std::string was =
      before.open ? "was open"
                  : fmt::format("was closed: {}",
                                before.reason.empty() ? "another timeline" : before.reason);
  if (dry_run)
    return out + fmt::format("{} changes; region {} {}; a dry run: nothing was changed",
                             changes.size(), before.region.text(), was);
  return out + fmt::format("{} changes; region {} is open on timeline {} ({})", changes.size(),
                           before.region.text(),
                           before.timeline.empty() ? "unknown" : before.timeline, was);
}

std::string reconcile_json(const std::vector<store::PlacementChange>& changes,
                           const store::RegionStatus& before, bool dry_run) {
  Json json = {{"dry_run", dry_run},
               {"region", before.region.text()},
               {"was_open", before.open},
               {"timeline", before.timeline},
               {"changes", Json::array()}};
  for (const auto& change : changes)
    json["changes"].push_back({{"change", change.change}, {"organization", change.organization}});
  return dump(json);
}

std::string status_text(const store::RegionStatus& s) {
  std::string why;
  if (s.in_recovery)
    why = ": a standby";
  else if (!s.open && s.state == "open")
    why = fmt::format(": on timeline {}, opened on {}; run domicile region reconcile", s.timeline,
                      s.approved_timeline);
  else if (!s.open)
    why = ": " + s.reason;
  return fmt::format(
      "region {}{}: {}{}\n  organizations {}, keys {}, timeline {}, database {}, server {}, event "
      "triggers {}",
      s.region.text(), s.master ? " (master)" : "", s.open ? "open" : "closed", why,
      s.organizations, to_string(s.key_type), s.timeline.empty() ? "not told" : s.timeline,
      s.database_id, s.system_identifier, s.event_triggers ? "on" : "off");
}

std::string status_json(const store::RegionStatus& s) {
  return dump({{"region", s.region.text()},
               {"master", s.master},
               {"open", s.open},
               {"state", s.state},
               {"reason", s.reason},
               {"key_type", to_string(s.key_type)},
               {"database_id", s.database_id},
               {"system_identifier", s.system_identifier},
               {"timeline", s.timeline},
               {"approved_timeline", s.approved_timeline},
               {"lsn", s.lsn},
               {"in_recovery", s.in_recovery},
               {"event_triggers", s.event_triggers},
               {"organizations", s.organizations}});
}

std::string findings_text(const std::vector<store::Finding>& findings) {
  if (findings.empty()) return "no violations";
  std::string out;
  for (const auto& finding : findings) out += finding_line(finding) + "\n";
  const auto bad = std::count_if(findings.begin(), findings.end(),
                                 [](const auto& f) { return f.refuse && !f.known; });
  return out + fmt::format("{} findings, {} of them must not be", findings.size(), bad);
}

std::string findings_json(const std::vector<store::Finding>& findings) {
  Json json = Json::array();
  for (const auto& finding : findings) json.push_back(finding_json(finding));
  return dump({{"findings", std::move(json)}});
}

std::string validate_text(const std::vector<store::ValidateOutcome>& outcomes) {
  if (outcomes.empty()) return "every guard is validated";
  std::string out;
  for (const auto& outcome : outcomes)
    out += fmt::format("  {:7} {}{}\n", outcome.valid ? "valid" : "invalid", outcome.table,
                       outcome.valid ? "" : ": " + outcome.problem);
  out.pop_back();
  return out;
}

std::string validate_json(const std::vector<store::ValidateOutcome>& outcomes) {
  Json json = Json::array();
  for (const auto& outcome : outcomes)
    json.push_back(
        {{"table", outcome.table}, {"valid", outcome.valid}, {"problem", outcome.problem}});
  return dump({{"tables", std::move(json)}});
}

Result<void> same_database(pg::Connection& one, pg::Connection& other) {
  const std::string sql =
      "SELECT s.system_identifier, d.oid FROM pg_catalog.pg_control_system() s, "
      "pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
  const auto first = TRY(one.query(sql));
  const auto second = TRY(other.query(sql));
  if (first.text(0, 0) == second.text(0, 0) && first.text(0, 1) == second.text(0, 1)) return {};
  return fail(Code::invalid, "--superuser-dsn-file leads to another database than --dsn");
}

}  // namespace domicile::app
