#include "reference/compare_job.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "reference/repair.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

domain::Event drift_event(const CompareJobContext& context, const Clock& clock,
                          const TableOutcome& outcome) {
  domain::Event event;
  event.kind = domain::EventKind::finding;
  event.outcome = domain::Outcome::failed;
  event.time = clock.now();
  event.region = context.region;
  event.operation = "reference.compare";
  event.resource = "table:" + outcome.table;
  event.reason = "drift";
  event.details = {{"table", outcome.table},
                   {"missing", std::to_string(outcome.missing)},
                   {"extra", std::to_string(outcome.extra)},
                   {"changed", std::to_string(outcome.changed)},
                   {"rows", std::to_string(outcome.master_rows)}};
  return event;
}

struct Finding {
  const char* kind;
  bool open;
  std::string detail;
};

// The last three comparisons of the table, this one included, all found it different.
constexpr const char* kDriftsAgain = R"SQL(
  SELECT count(*) = 3 AND bool_and(outcome IN ('different', 'repaired')) FROM (
    SELECT outcome FROM domicile.reference_compare WHERE table_name = $1 AND outcome <> 'failed' ORDER BY at DESC LIMIT 3) last)SQL";

Result<void> note_finding(pg::Connection& connection, const std::string& table,
                          const Finding& finding) {
  if (finding.open) {
    TRY(connection.query("SELECT domicile.note_reference_finding($1, $2, $3)",
                         {finding.kind, table, finding.detail}));
  } else {
    TRY(connection.query("SELECT domicile.resolve_reference_findings(ARRAY[$1], $2)",
                         {finding.kind, table}));
  }
  return {};
}

}  // namespace

std::string encode_job(const CompareJob& job) {
  return json{{"tables", job.tables}, {"repair", job.repair}, {"max_rate", job.rows_per_second}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<CompareJob> decode_job(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  const auto malformed = [] {
    return fail(Code::invalid,
                "the job's options are {\"tables\": [...], \"repair\": bool, \"max_rate\": number}",
                "compare_options");
  };
  if (!object.is_object()) return malformed();
  CompareJob job;
  for (const auto& [name, value] : object.items()) {
    if (name == "tables" && value.is_array()) {
      for (const json& table : value) {
        if (!table.is_string()) return malformed();
        job.tables.push_back(table.get<std::string>());
      }
    } else if (name == "repair" && value.is_boolean()) {
      job.repair = value.get<bool>();
    } else if (name == "max_rate" && value.is_number() && value.get<double>() >= 0) {
      job.rows_per_second = value.get<double>();
    } else {
      return malformed();
    }
  }
  return job;
}

Result<void> run_compare_job(CompareMaster& master, const CompareJob& job,
                             const CompareJobContext& context, domain::EventSink& sink,
                             const Clock& clock, std::vector<TableOutcome>& outcomes) {
  const auto tell = [&](std::string_view phase, std::uint64_t done, std::uint64_t all) {
    if (context.progress) context.progress(phase, done, all);
  };
  auto comparison = TRY(Comparison::begin(
      master,
      {.dsn = context.dsn,
       .region = context.region.text(),
       .folder = context.folder,
       .tables = job.tables,
       .rows_per_second = job.rows_per_second,
       .stop = context.stop,
       .progress = [&](std::uint64_t rows, std::uint64_t all) { tell("reading", rows, all); }}));
  TRY(comparison->scan());
  std::vector<std::vector<DifferingRow>> rows;
  for (std::size_t i = 0; i < comparison->size(); ++i) {
    tell("comparing", i, comparison->size());
    rows.push_back(comparison->compare(i));
    if (context.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
    if (rows.back().empty()) continue;
    (void)TRY(sink.record(drift_event(context, clock, comparison->outcome(i))));
  }
  Result<void> repaired;
  if (job.repair)
    repaired = repair(
        *comparison, rows, sink, clock,
        {.dsn = context.dsn,
         .region = context.region,
         .stop = context.stop,
         .progress = [&](std::uint64_t done, std::uint64_t all) { tell("repairing", done, all); }});
  for (std::size_t i = 0; i < comparison->size(); ++i) outcomes.push_back(comparison->outcome(i));
  return repaired;
}

std::string result_json(const std::vector<TableOutcome>& outcomes) {
  json tables = json::array();
  std::uint64_t differences = 0;
  std::uint64_t repaired = 0;
  std::uint64_t blocked = 0;
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;
  bool remain = false;
  for (const TableOutcome& o : outcomes) {
    tables.push_back({{"table", o.table},
                      {"outcome", o.outcome},
                      {"reason", o.reason},
                      {"master_rows", o.master_rows},
                      {"replica_rows", o.replica_rows},
                      {"missing", o.missing},
                      {"extra", o.extra},
                      {"changed", o.changed},
                      {"changed_meanwhile", o.in_passing},
                      {"repaired", o.repaired},
                      {"blocked", o.blocked},
                      {"seconds", o.seconds},
                      {"bytes", o.bytes},
                      {"keys_hashed", o.keys}});
    differences += o.differences();
    repaired += o.repaired;
    blocked += o.blocked;
    failed += o.outcome == "failed" ? 1 : 0;
    bytes += o.bytes;
    remain = remain || o.outcome == "different";
  }
  return json{{"equal", differences == 0 && failed == 0},
              {"remain", remain},
              {"differences", differences},
              {"repaired", repaired},
              {"blocked", blocked},
              {"failed", failed},
              {"bytes", bytes},
              {"tables", std::move(tables)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<void> keep_outcomes(pg::Connection& connection, std::int64_t job,
                           const std::vector<TableOutcome>& outcomes) {
  return connection.transaction([&]() -> Result<void> {
    for (const TableOutcome& o : outcomes) {
      const auto text = [](std::uint64_t number) { return pg::Param(std::to_string(number)); };
      TRY(connection.query(
          "INSERT INTO domicile.reference_compare (job, table_name, outcome, reason, master_rows, "
          "replica_rows, missing, extra, changed, repaired, blocked, seconds, bytes) VALUES ($1, "
          "$2, $3, "
          "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
          {std::to_string(job), o.table, o.outcome, o.reason, text(o.master_rows),
           text(o.replica_rows), text(o.missing), text(o.extra), text(o.changed), text(o.repaired),
           text(o.blocked), fmt::format("{:.3f}", o.seconds), text(o.bytes)}));
      // What was refused before has been tried again, or is no difference any more.
      if (o.outcome == "equal" || o.outcome == "repaired")
        TRY(
            connection.query("UPDATE domicile.reference_quarantine q SET resolved_at = "
                             "pg_catalog.clock_timestamp() FROM "
                             "domicile.reference_job j WHERE j.id = $1 AND q.resolved_at IS NULL "
                             "AND q.at < j.started_at AND "
                             "q.schema_name || '.' || q.table_name = $2",
                             {std::to_string(job), o.table}));
      const auto again = TRY(connection.query(kDriftsAgain, {o.table}));
      const std::array<Finding, 4> findings = {{
          {"drift", o.outcome == "different",
           fmt::format("{} missing, {} extra, {} changed rows", o.missing, o.extra, o.changed)},
          {"drifts_again", o.outcome != "failed" && again.boolean(0, 0),
           "it differed in three comparisons in a row: somebody writes here past the guard"},
          {"repair_blocked", o.blocked > 0, fmt::format("{} rows: {}", o.blocked, o.reason)},
          {"compare_failed", o.outcome == "failed", o.reason},
      }};
      for (const Finding& finding : findings) {
        // A comparison that failed says nothing about what it did not see.
        if (o.outcome == "failed" && std::string_view(finding.kind) != "compare_failed") continue;
        TRY(note_finding(connection, o.table, finding));
      }
    }
    return {};
  });
}

}  // namespace domicile::reference
