#include "app/region_observation.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::app {
namespace {

using Json = nlohmann::json;
using State = store::TableOutcome::State;
using catalog::Mode;

constexpr std::size_t kShown = 12;  // refusals a table on the terminal; JSON has them all

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string duration(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86'400);
}

std::string about(std::int64_t count) {
  return count > 64 ? fmt::format("~{}", count) : fmt::format("{}", count);
}

std::string_view state_of(const store::ObservedTable& table) {
  if (table.ready()) return "ready";
  return table.refusals.empty() ? "no writes yet" : "not ready";
}

std::string next_command(const store::ObservationReport& report) {
  for (const auto& table : report.tables) {
    if (table.mode == Mode::observe && table.ready())
      return fmt::format("domicile region enforce --table {} --dry-run", to_string(table.name));
  }
  for (const auto& table : report.tables) {
    if (table.mode == Mode::observe)
      return "deal with the reasons above, then `domicile region observe --anew --table ...` and "
             "look again";
  }
  for (const auto& table : report.tables) {
    if (table.mode == Mode::off && table.table_class != catalog::TableClass::system &&
        table.table_class != catalog::TableClass::ignored)
      return fmt::format("domicile region observe --table {}", to_string(table.name));
  }
  return "domicile check";
}

constexpr const char* kNotObservable =
    "not observable before isolation: reads of other organizations' rows (they are counted as "
    "scans, nothing more), statements that touch no row, and what a BEFORE trigger refuses first";

// What the longest observed table's time saw. Of the database, because PostgreSQL counts no closer.
std::string rolled_back(const store::ObservationReport& report) {
  std::int64_t most = 0;
  for (const auto& table : report.tables) most = std::max(most, table.rollbacks);
  if (most == 0) return "";
  return fmt::format(
      "{} transactions of this database were rolled back meanwhile: what they did is not counted\n",
      most);
}

std::string refusal_lines(const store::ObservedTable& table) {
  std::string out;
  std::set<std::string> told;
  for (std::size_t i = 0; i < table.refusals.size() && i < kShown; ++i) {
    const auto& r = table.refusals[i];
    out += fmt::format("  {:>8}  {:18} {} by {}{}{}\n", about(r.statements), r.reason, r.command,
                       r.role, r.application.empty() ? "" : fmt::format(" ({})", r.application),
                       r.organizations.empty()
                           ? ""
                           : fmt::format(", organization {}", fmt::join(r.organizations, ", ")));
    if (!r.statement.empty()) out += fmt::format("            {}\n", r.statement);
    told.insert(r.reason);
  }
  if (table.refusals.size() > kShown)
    out += fmt::format("            and {} more kinds (--output json has all)\n",
                       table.refusals.size() - kShown);
  for (const auto& reason : told) {
    const auto text = store::reason_text(reason);
    out += fmt::format("  {}: {}; {}\n", reason, text.meaning, text.remedy);
  }
  return out;
}

std::string_view word(State state) {
  switch (state) {
    case State::unchanged: return "unchanged";
    case State::changed: return "changed";
    case State::planned: return "planned";
    case State::blocked: return "blocked";
  }
  return "";
}

std::string obstacles(const ModeOutcome& outcome) {
  std::string out;
  for (const auto& s : outcome.change.strangers) {
    out += s.organization.empty()
               ? fmt::format("  {}: {} rows of no organization; give them one, or delete them\n",
                             to_string(s.table), s.rows)
               : fmt::format(
                     "  {}: {} rows of organization {}, which is not homed here; home it "
                     "(domicile org create, or domicile region home), move it, or delete "
                     "them\n",
                     to_string(s.table), s.rows, s.organization);
  }
  for (const auto& [table, statements] : outcome.change.refused_lately) {
    if (statements > 0)
      out += fmt::format(
          "  {}: {} statements of the last 24 hours would have been refused; "
          "domicile region observe --report\n",
          to_string(table), about(statements));
  }
  return out;
}

}  // namespace

std::string observation_text(const store::ObservationReport& report) {
  std::string out = fmt::format("{:32} {:>9} {:>9} {:>9} {:>8}  {}\n", "observed table", "for",
                                "writes", "scans", "refused", "state");
  int other = 0;
  for (const auto& table : report.tables) {
    if (table.mode != Mode::observe) {
      ++other;
      continue;
    }
    out += fmt::format("{:32} {:>9} {:>9} {:>9} {:>8}  {}{}\n", to_string(table.name),
                       duration(table.seconds), table.writes, table.scans, about(table.refused()),
                       state_of(table), table.statistics_reset ? " (statistics were reset)" : "");
  }
  for (const auto& table : report.tables) {
    if (!table.refusals.empty())
      out += fmt::format("\n{}\n{}", to_string(table.name), refusal_lines(table));
  }
  if (report.store_full)
    out +=
        "\nthe store of observations was full (64 MB) until now: some statements were not "
        "recorded. Ask for the report more often.\n";
  return out +
         fmt::format(
             "\n{} other tables are not observed. writes are rows, refused are "
             "statements (~ up to 10 % more: sessions record the last ones later).\n{}{}\nnext: {}",
             other, rolled_back(report), kNotObservable, next_command(report));
}

std::string observation_json(const store::ObservationReport& report) {
  Json json = {{"tables", Json::array()},
               {"store_full", report.store_full},
               {"counts",
                "never too high; up to 10 % of what a session did beyond its first 64 "
                "statements of a kind may not be recorded yet"},
               {"not_observable", kNotObservable},
               {"next", next_command(report)}};
  for (const auto& table : report.tables) {
    Json one = {{"table", to_string(table.name)},
                {"class", to_string(table.table_class)},
                {"mode", to_string(table.mode)}};
    if (table.mode == Mode::observe) {
      one["since"] = table.since;
      one["writes"] = table.writes;
      one["scans"] = table.scans;
      one["rolled_back_transactions"] = table.rollbacks;
      one["statistics_reset"] = table.statistics_reset;
      one["refused"] = table.refused();
      one["ready"] = table.ready();
      one["refusals"] = Json::array();
      for (const auto& r : table.refusals) {
        const auto text = store::reason_text(r.reason);
        one["refusals"].push_back({{"reason", r.reason},
                                   {"meaning", text.meaning},
                                   {"remedy", text.remedy},
                                   {"command", r.command},
                                   {"role", r.role},
                                   {"application", r.application},
                                   {"statement", r.statement},
                                   {"organizations", r.organizations},
                                   {"statements", r.statements},
                                   {"first_at", r.first_at},
                                   {"last_at", r.last_at}});
      }
    }
    json["tables"].push_back(std::move(one));
  }
  return dump(json);
}

bool ModeOutcome::blocked() const {
  return std::any_of(tables.begin(), tables.end(),
                     [](const auto& t) { return t.state == State::blocked; });
}

std::string mode_text(const ModeOutcome& outcome) {
  std::string out;
  if (outcome.refused)
    return fmt::format(
        "nothing was changed, because enforcement would refuse:\n{}deal with them, "
        "or add --anyway: old rows then stay readable to nobody but their own "
        "organization, and the CHECK stays NOT VALID",
        obstacles(outcome));
  const std::string seen = obstacles(outcome);
  if (outcome.dry_run) {
    for (const auto& table : outcome.tables) {
      if (table.sql.empty()) continue;
      out += fmt::format("-- table {}\n", to_string(table.table));
      for (const auto& note : table.notes) out += fmt::format("-- {}\n", note);
      out += "BEGIN;\n";
      for (const auto& statement : table.sql) out += statement + ";\n";
      out += "COMMIT;\n";
    }
    for (const auto& statement : outcome.database) out += statement + ";\n";
    if (!seen.empty()) out += "-- in the way:\n" + seen;
    if (outcome.file_edited)
      out += fmt::format("-- {} would be edited: mode = \"{}\"\n", outcome.file,
                         to_string(outcome.mode));
    return out + "-- a dry run: nothing was changed";
  }
  if (!seen.empty()) out += "in spite of:\n" + seen;
  for (const auto& table : outcome.tables) {
    if (table.state == State::unchanged) continue;
    out += fmt::format("  {:9} {}{}\n", word(table.state), to_string(table.table),
                       table.blocked_by.empty() ? "" : ": " + table.blocked_by);
    for (const auto& note : table.notes) out += fmt::format("    note: {}\n", note);
  }
  for (const auto& validated : outcome.validated)
    out += fmt::format("  {:9} {}{}\n", validated.valid ? "validated" : "not valid",
                       validated.table, validated.valid ? "" : ": " + validated.problem);
  for (const auto& statement : outcome.database) out += fmt::format("  {}\n", statement);
  if (out.empty()) out = "nothing to do\n";
  if (outcome.file_edited)
    out += fmt::format("{}: mode = \"{}\"; commit it\n", outcome.file, to_string(outcome.mode));
  if (outcome.blocked())
    return out + "some tables were locked by others for too long: run the same command again";
  switch (outcome.mode) {
    case Mode::observe: return out + "next: let traffic run, then domicile region observe --report";
    case Mode::enforce: return out + "back at once: domicile region observe --table ...";
    case Mode::off: break;
  }
  out.pop_back();
  return out;
}

std::string mode_json(const ModeOutcome& outcome) {
  Json json = {{"mode", to_string(outcome.mode)},
               {"dry_run", outcome.dry_run},
               {"refused", outcome.refused},
               {"file", outcome.file},
               {"file_edited", outcome.file_edited},
               {"blocked", outcome.blocked()},
               {"tables", Json::array()},
               {"database", outcome.database},
               {"validated", Json::array()},
               {"strangers", Json::array()},
               {"refused_lately", Json::object()}};
  for (const auto& table : outcome.tables)
    json["tables"].push_back({{"table", to_string(table.table)},
                              {"state", word(table.state)},
                              {"notes", table.notes},
                              {"sql", table.sql},
                              {"blocked_by", table.blocked_by}});
  for (const auto& each : outcome.validated)
    json["validated"].push_back(
        {{"table", each.table}, {"valid", each.valid}, {"problem", each.problem}});
  for (const auto& each : outcome.change.strangers)
    json["strangers"].push_back({{"table", to_string(each.table)},
                                 {"organization", each.organization},
                                 {"rows", each.rows}});
  for (const auto& [table, statements] : outcome.change.refused_lately)
    json["refused_lately"][to_string(table)] = statements;
  return dump(json);
}

}  // namespace domicile::app
