// domicile reference status | resync | accept-master, and the noun's other verbs.
#include <algorithm>
#include <charconv>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cmd_reference_compare.h"
#include "app/cmd_reference_release.h"
#include "app/cmd_reference_schema.h"
#include "app/region_login.h"
#include "app/text_table.h"

namespace domicile::app {
namespace {

using nlohmann::json;

// Whole numbers as such, everything else as text.
json value_of(const pg::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return {};
  const std::string_view text = rows.text(row, column);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error == std::errc{} && end == text.end()) return number;
  return std::string(text);
}

json objects(const pg::Rows& rows) {
  json out = json::array();
  for (int i = 0; i < rows.size(); ++i) {
    json line = json::object();
    for (int c = 0; c < rows.columns(); ++c)
      line[std::string(rows.column_name(c))] = value_of(rows, i, c);
    out.push_back(std::move(line));
  }
  return out;
}

struct Health {
  bool master = false;
  std::string region;
  json lines;     // domicile.reference_status
  json tables;    // of a region that follows
  json findings;  // open ones
};

Result<Health> read_health(pg::Connection& connection) {
  Health health;
  const auto there = TRY(
      connection.query("SELECT pg_catalog.to_regclass('domicile.reference_status') IS NOT NULL"));
  if (!there.boolean(0, 0)) {
    return fail(Code::invalid,
                "this region was installed by an older Domicile; run `domicile region init` again",
                "old_region");
  }
  const auto region = TRY(connection.query("SELECT region, master FROM domicile.region_status()"));
  health.region = region.text(0, 0);
  health.master = region.boolean(0, 1);
  health.lines = objects(
      TRY(connection.query("SELECT region, master, state, reason, detail, position::text, "
                           "lag_ms_last, lag_ms_p50, lag_ms_p99, "
                           "pg_catalog.round(extract(epoch FROM pg_catalog.clock_timestamp() - "
                           "contact_at))::bigint AS seconds_since_contact, tables_copied, tables, "
                           "quarantined, findings, retained_bytes, wal_status, rows, bytes FROM "
                           "domicile.reference_status ORDER BY region")));
  health.tables = objects(TRY(connection.query(
      "SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS table, "
      "pg_catalog.to_char(t.copied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS "
      "copied_at, "
      "t.inserts, t.updates, t.deletes, t.conflicts, "
      "pg_catalog.to_char(t.last_change_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
      "AS last_change_at, pg_catalog.to_char(c.at AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS compared_at, c.differences, c.repaired FROM "
      "domicile.reference_table t "
      "LEFT JOIN LATERAL (SELECT k.at, k.missing + k.extra + k.changed AS differences, k.repaired "
      "FROM domicile.reference_compare k "
      "WHERE k.table_name IN (t.schema_name || '.' || t.table_name, pg_catalog.format('%I.%I', "
      "t.schema_name, t.table_name)) ORDER BY k.at DESC LIMIT 1) c ON true "
      "WHERE t.schema_name <> 'domicile' AND (t.schema_name, t.table_name) IN (SELECT "
      "r.schema_name, r.table_name FROM domicile.reference_tables() r) "
      "ORDER BY 1")));
  health.findings = objects(TRY(connection.query(
      "SELECT kind, object, detail, pg_catalog.to_char(first_at AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS first_at, pg_catalog.to_char(last_at AT TIME ZONE "
      "'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS last_at, times FROM "
      "domicile.reference_finding WHERE resolved_at IS NULL ORDER BY id")));
  return health;
}

std::string text(const json& line, const char* key, const char* missing = "-") {
  const json& value = line[key];
  return value.is_null() ? missing : value.is_string() ? value.get<std::string>() : value.dump();
}

using Lines = std::vector<std::vector<std::string>>;

// Without the last newline, which print() adds.
std::string whole(const Lines& lines) {
  std::string table = text_table(lines);
  if (table.ends_with('\n')) table.pop_back();
  return table;
}

void print_master(const Health& health) {
  Lines table(
      {{"REGION", "STATE", "CONFIRMED", "WAL KEPT", "WAL", "ROWS", "BYTES", "LAST CONTACT"}});
  for (const json& line : health.lines) {
    table.push_back({text(line, "region"), text(line, "state"), text(line, "position"),
                     text(line, "retained_bytes") + " B", text(line, "wal_status"),
                     text(line, "rows"), text(line, "bytes"),
                     text(line, "seconds_since_contact") + " s ago"});
  }
  print(fmt::format("{} is the master of {} reference tables", health.region,
                    health.lines.empty() ? "its" : text(health.lines[0], "tables")));
  print(health.lines.empty() ? "no region has asked for them yet" : whole(table));
}

void print_replica(const Health& health) {
  const json& line = health.lines.front();
  print(fmt::format("{} follows {}: {}{}", health.region,
                    text(line, "master", "").empty() ? "no master yet" : text(line, "master"),
                    text(line, "state"),
                    text(line, "detail", "").empty() ? "" : " (" + text(line, "detail") + ")"));
  print(fmt::format("  position {}, {} of {} tables copied, last contact {} s ago",
                    text(line, "position"), text(line, "tables_copied"), text(line, "tables"),
                    text(line, "seconds_since_contact")));
  print(fmt::format("  lag {} ms now, {} ms in half of the last 600 heartbeats, {} ms in 99 of 100",
                    text(line, "lag_ms_last"), text(line, "lag_ms_p50"), text(line, "lag_ms_p99")));
  Lines table({{"TABLE", "INSERTS", "UPDATES", "DELETES", "CONFLICTS", "COMPARED", "DIFFERENCES",
                "REPAIRED"}});
  for (const json& each : health.tables) {
    table.push_back({text(each, "table"), text(each, "inserts"), text(each, "updates"),
                     text(each, "deletes"), text(each, "conflicts"),
                     text(each, "compared_at", "never"), text(each, "differences"),
                     text(each, "repaired")});
  }
  print(whole(table));
}

Result<int> status(const Cli& cli, const RegionLogin& login) {
  auto connection = TRY(open_region(login));
  TRY(require_region(connection));
  const Health health = TRY(read_health(connection));
  const bool well =
      health.findings.empty() && std::ranges::all_of(health.lines, [](const json& line) {
        return text(line, "state") == "streaming";
      });
  if (cli.json) {
    print(json{{"region", health.region},
               {"master", health.master},
               {"well", well},
               {"streams", health.lines},
               {"tables", health.tables},
               {"findings", health.findings}}
              .dump(2));
    return well ? 0 : 1;
  }
  if (health.master)
    print_master(health);
  else
    print_replica(health);
  for (const json& finding : health.findings) {
    print(fmt::format("finding {} ({}, since {}): {}", text(finding, "kind"),
                      text(finding, "object"), text(finding, "first_at"), text(finding, "detail")));
  }
  return well ? 0 : 1;
}

Result<int> order(const RegionLogin& login, const char* function, const char* done) {
  auto connection = TRY(open_region(login));
  TRY(require_region(connection));
  const auto region = TRY(connection.query("SELECT master FROM domicile.region_status()"));
  if (region.boolean(0, 0)) {
    return fail(Code::invalid,
                "this is the master region: run this with the database of the region that follows",
                "master_region");
  }
  TRY(connection.query(fmt::format("SELECT domicile.{}()", function)));
  print(done);
  return 0;
}

void add_verb(CLI::App& noun, Cli& cli, const char* name, const char* help, const char* footer,
              std::function<Result<int>(const RegionLogin&)> body) {
  CLI::App* verb = noun.add_subcommand(name, help);
  auto login = std::make_shared<RegionLogin>();
  add_login(*verb, *login);
  verb->footer(footer);
  verb->callback(cli.run([login, body = std::move(body)] { return body(*login); }));
}

}  // namespace

void add_reference(CLI::App& root, Cli& cli) {
  CLI::App* noun = root.add_subcommand("reference", "Reference data: the same in every region");
  noun->require_subcommand(1);
  add_verb(*noun, cli, "status", "How far a region's reference data is, and how well",
           "In the master region: one line for each region that follows. Exit 0: all is well; 1: a "
           "stream is down, or there are findings.",
           [&cli](const RegionLogin& login) { return status(cli, login); });
  add_reference_compare(*noun, cli);
  add_reference_release(*noun, cli);
  add_reference_schema(*noun, cli);
  add_verb(*noun, cli, "resync", "Copy everything anew from the master region",
           "The region's node does it within seconds. Readers see the old rows until the new ones "
           "are complete; rows that are equal are not touched.",
           [](const RegionLogin& login) {
             return order(login, "resync_reference",
                          "everything is copied anew; watch it with: domicile reference status");
           });
  add_verb(
      *noun, cli, "accept-master",
      "Follow the master that answers now, though it is another one than before",
      "For when the master region's database was really replaced. Everything is copied anew from "
      "it.",
      [](const RegionLogin& login) {
        return order(
            login, "accept_reference_master",
            "the master that answers next is accepted; watch it with: domicile reference status");
      });
}

}  // namespace domicile::app
