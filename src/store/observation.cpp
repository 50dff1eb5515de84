#include "store/observation.h"

#include <array>
#include <numeric>

#include <fmt/format.h>

#include "store/guard_sql.h"

namespace domicile::store {
namespace {

constexpr const char* kTables = R"(
  SELECT schema_name, table_name, class, mode, coalesce(pg_catalog.to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''),
         coalesce(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - since), 0)::int8, coalesce(writes, 0), coalesce(scans, 0),
         coalesce(statistics_reset, false), full_store, coalesce(rollbacks, 0)
  FROM domicile.observed_tables())";

// The days are joined again; organizations only as the three most frequent.
constexpr const char* kRefusals = R"(
  SELECT table_name, reason, command, role, application, statement, pg_catalog.sum(statements)::int8 AS statements,
         pg_catalog.to_char(pg_catalog.min(first_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
         pg_catalog.to_char(pg_catalog.max(last_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
         coalesce((pg_catalog.array_agg(organization ORDER BY statements DESC) FILTER (WHERE organization IS NOT NULL AND place <= 3))[1], ''),
         coalesce((pg_catalog.array_agg(organization ORDER BY statements DESC) FILTER (WHERE organization IS NOT NULL AND place <= 3))[2], ''),
         coalesce((pg_catalog.array_agg(organization ORDER BY statements DESC) FILTER (WHERE organization IS NOT NULL AND place <= 3))[3], '')
  FROM (SELECT table_name, reason, command, role, application, statement, organization, pg_catalog.sum(statements) AS statements,
               pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at,
               pg_catalog.row_number() OVER (PARTITION BY table_name, reason, command, role, application, statement
                                             ORDER BY pg_catalog.sum(statements) DESC) AS place
        FROM domicile.observation GROUP BY 1, 2, 3, 4, 5, 6, 7) o
  GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 7 DESC, 2, 3, 6)";

}  // namespace

std::int64_t ObservedTable::refused() const {
  return std::accumulate(refusals.begin(), refusals.end(), std::int64_t{0},
                         [](std::int64_t sum, const Refusal& r) { return sum + r.statements; });
}

Result<ObservationReport> read_observations(pg::Connection& connection) {
  ObservationReport report;
  auto tables = TRY(connection.query(kTables));
  std::map<std::string, std::size_t> by_label;
  for (int i = 0; i < tables.size(); ++i) {
    ObservedTable table;
    table.name = {std::string(tables.text(i, 0)), std::string(tables.text(i, 1))};
    table.table_class = TRY(catalog::parse_table_class(tables.text(i, 2)));
    table.mode = TRY(catalog::parse_mode(tables.text(i, 3)));
    table.since = tables.text(i, 4);
    table.seconds = tables.integer(i, 5);
    table.writes = tables.integer(i, 6);
    table.scans = tables.integer(i, 7);
    table.statistics_reset = tables.boolean(i, 8);
    table.rollbacks = tables.integer(i, 10);
    report.store_full = report.store_full || tables.boolean(i, 9);
    by_label[quoted(table.name)] = report.tables.size();
    report.tables.push_back(std::move(table));
  }
  // Folded after the question whether the store was full, which it answers.
  TRY(connection.query("SELECT domicile.fold_observations()"));
  auto rows = TRY(connection.query(kRefusals));
  for (int i = 0; i < rows.size(); ++i) {
    const auto place = by_label.find(std::string(rows.text(i, 0)));
    if (place == by_label.end()) continue;
    ObservedTable& table = report.tables[place->second];
    if (table.mode != catalog::Mode::observe) continue;
    Refusal refusal{.reason = std::string(rows.text(i, 1)),
                    .command = std::string(rows.text(i, 2)),
                    .role = std::string(rows.text(i, 3)),
                    .application = std::string(rows.text(i, 4)),
                    .statement = std::string(rows.text(i, 5)),
                    .organizations = {},
                    .statements = rows.integer(i, 6),
                    .first_at = std::string(rows.text(i, 7)),
                    .last_at = std::string(rows.text(i, 8))};
    for (int place_of = 9; place_of < 12; ++place_of) {
      if (!rows.text(i, place_of).empty())
        refusal.organizations.emplace_back(rows.text(i, place_of));
    }
    table.refusals.push_back(std::move(refusal));
  }
  return report;
}

Result<std::int64_t> refused_lately(pg::Connection& connection, const catalog::QualifiedName& table,
                                    int hours) {
  TRY(connection.query("SELECT domicile.fold_observations()"));
  auto rows = TRY(connection.query(
      "SELECT coalesce(pg_catalog.sum(o.statements), 0)::int8 FROM domicile.observation o JOIN "
      "domicile.catalog_table k ON (k.schema_name, k.table_name) = ($2, $3) AND k.mode = 'observe' "
      "WHERE o.table_name = $1 AND o.last_at > pg_catalog.now() - pg_catalog.make_interval(hours "
      "=> "
      "$4::int)",
      {quoted(table), table.schema, table.name, std::to_string(hours)}));
  return rows.integer(0, 0);
}

ReasonText reason_text(std::string_view reason) {
  struct Line {
    std::string_view reason;
    ReasonText text;
  };
  static constexpr std::array kLines{
      Line{"no_context",
           {"the transaction had no organization context",
            "call domicile.enter(token) first in the transaction, or log in as the organization"}},
      Line{"other_organization",
           {"the row belongs to another organization than the context",
            "enter the row's organization, or look for a missing WHERE"}},
      Line{"foreign_row",
           {"the row's organization is not homed in this region",
            "home it here (domicile org create, or domicile region home), or write it where it is "
            "homed"}},
      Line{"region_closed", {"the region was closed", "domicile region reconcile"}},
      Line{"null_key",
           {"the row has no organization", "set the key; class \"mixed\" if such rows are shared"}},
      Line{"missing_parent",
           {"the row that says whose this one is was not there yet",
            "store the parent first, or give the table a key of its own"}},
      Line{"shared_row",
           {"a shared row (no organization) was changed by the application",
            "shared rows change in the master region, by the owner of the reference data"}},
      Line{"reference_data",
           {"reference data was changed outside of the master region", "change it there"}},
      Line{"copy",
           {"COPY FROM, which PostgreSQL refuses to roles that row security binds",
            "load by INSERT, or as a superuser with the organizations homed"}},
      Line{"truncate", {"TRUNCATE of a guarded table", "DELETE one organization's rows at a time"}},
  };
  for (const Line& line : kLines) {
    if (line.reason == reason) return line.text;
  }
  return {"it would have been refused", "see docs/guard.md"};
}

}  // namespace domicile::store
