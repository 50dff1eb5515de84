#include "store/finding_store.h"

#include <fmt/format.h>

namespace domicile::store {
namespace {

constexpr const char* kColumns =
    "id, check_id, object, source, title, severity, state, owner, reason, approver, "
    "coalesce(to_char(accepted_until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), ''), "
    "to_char(first_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), times, last_sequence";

FindingRow row_of(const pg::Rows& rows, int row) {
  const auto text = [&](int column) { return std::string(rows.text(row, column)); };
  FindingRow out;
  out.id = rows.integer(row, 0);
  out.check = text(1);
  out.object = text(2);
  out.source = text(3);
  out.title = text(4);
  out.severity = text(5);
  out.state = text(6);
  out.owner = text(7);
  out.reason = text(8);
  out.approver = text(9);
  out.accepted_until = text(10);
  out.first_seen = text(11);
  out.last_seen = text(12);
  out.times = rows.integer(row, 13);
  out.last_sequence = rows.integer(row, 14);
  return out;
}

std::string ms(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

constexpr const char* kAt = "to_timestamp($%::double precision / 1000)";

std::string at(int parameter) {
  std::string text = kAt;
  return text.replace(text.find('%'), 1, std::to_string(parameter));
}

}  // namespace

Result<pg::Connection*> FindingStore::connection() {
  if (!connection_) {
    connection_ = TRY(pg::Connection::open(std::string(dsn_.reveal())));
    TRY(connection_->script("SET statement_timeout = '30s'; SET lock_timeout = '10s'"));
  }
  return &*connection_;
}

Result<pg::Rows> FindingStore::query(const std::string& sql,
                                     std::initializer_list<pg::Param> params) {
  auto* open = TRY(connection());
  auto rows = open->query(sql, params);
  if (!rows && rows.error().code == Code::unavailable) connection_.reset();
  return rows;
}

Result<std::optional<std::uint64_t>> FindingStore::position(const std::string& log) {
  const auto rows =
      TRY(query("SELECT sequence FROM domicile.finding_position WHERE log = $1", {log}));
  if (rows.size() == 0) return std::nullopt;
  return static_cast<std::uint64_t>(rows.integer(0, 0));
}

Result<bool> FindingStore::advance(const std::string& log, std::uint64_t before,
                                   std::uint64_t reached,
                                   const std::function<Result<void>()>& body) {
  auto* open = TRY(connection());
  bool mine = false;
  const auto done = open->transaction([&]() -> Result<void> {
    // First: it locks the position, so that a second reader waits and then sees that it is late.
    const auto rows = TRY(open->query("SELECT domicile.reach_findings($1, $2, $3)",
                                      {log, std::to_string(before), std::to_string(reached)}));
    mine = rows.boolean(0, 0);
    if (!mine) return {};
    return body();
  });
  if (!done) {
    if (done.error().code == Code::unavailable) connection_.reset();
    return std::unexpected(done.error());
  }
  return mine;
}

Result<void> FindingStore::seen(const FindingSeen& finding, WallTime when, std::uint64_t sequence) {
  TRY(query(fmt::format("SELECT domicile.note_finding($1, $2, $3, $4, $5, {}, $7)", at(6)),
            {finding.check, finding.object, finding.source, finding.title, finding.severity,
             ms(when), std::to_string(sequence)}));
  return {};
}

Result<void> FindingStore::passed(const std::string& check, const std::string& region,
                                  WallTime when, std::uint64_t sequence) {
  TRY(query(fmt::format("SELECT domicile.pass_finding($1, $2, {}, $4)", at(3)),
            {check, region, ms(when), std::to_string(sequence)}));
  return {};
}

Result<void> FindingStore::evidence(const std::string& check, const std::string& region,
                                    EvidenceOutcome outcome, WallTime when) {
  const char* name = outcome == EvidenceOutcome::pass   ? "pass"
                     : outcome == EvidenceOutcome::fail ? "fail"
                                                        : "no_evidence";
  TRY(query(fmt::format("SELECT domicile.note_evidence($1, $2, $3, {})", at(4)),
            {check, region, name, ms(when)}));
  return {};
}

Result<std::int64_t> FindingStore::expire() {
  const auto rows = TRY(query("SELECT domicile.expire_findings()", {}));
  return rows.integer(0, 0);
}

Result<std::vector<FindingRow>> FindingStore::list(const Filter& filter) {
  const auto rows = TRY(query(
      fmt::format("SELECT {} FROM domicile.finding WHERE ($1 = '' OR state = $1) AND ($2 = '' OR "
                  "starts_with(check_id, $2)) AND ($3::boolean OR $1 <> '' OR state <> 'fixed') "
                  "ORDER BY array_position(ARRAY['fatal', 'critical', 'high', 'medium', 'low'], "
                  "severity), check_id, object",
                  kColumns),
      {filter.state, filter.check, filter.closed ? "true" : "false"}));
  std::vector<FindingRow> out;
  for (int row = 0; row < rows.size(); ++row) out.push_back(row_of(rows, row));
  return out;
}

Result<FindingRow> FindingStore::find(std::int64_t id) {
  const auto rows =
      TRY(query(fmt::format("SELECT {} FROM domicile.finding WHERE id = $1", kColumns),
                {std::to_string(id)}));
  if (rows.size() == 0) {
    return fail(Code::not_found,
                fmt::format("there is no finding {}: domicile finding list shows them", id));
  }
  return row_of(rows, 0);
}

Result<std::vector<FindingStep>> FindingStore::history(std::int64_t id) {
  const auto rows = TRY(query(
      "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), step, by_operator, "
      "by_role, note FROM domicile.finding_history WHERE finding_id = $1 ORDER BY at",
      {std::to_string(id)}));
  std::vector<FindingStep> out;
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({std::string(rows.text(row, 0)), std::string(rows.text(row, 1)),
                   std::string(rows.text(row, 2)), std::string(rows.text(row, 3)),
                   std::string(rows.text(row, 4))});
  }
  return out;
}

Result<std::vector<FindingEvidence>> FindingStore::evidence() {
  const auto rows = TRY(
      query("SELECT check_id, object, coalesce(to_char(last_evidence AT TIME ZONE 'UTC', "
            "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), ''), to_char(last_attempt AT TIME ZONE 'UTC', "
            "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), outcome, coalesce(extract(epoch FROM now() - "
            "last_evidence)::bigint, -1) FROM domicile.finding_evidence ORDER BY check_id, object",
            {}));
  std::vector<FindingEvidence> out;
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({std::string(rows.text(row, 0)), std::string(rows.text(row, 1)),
                   std::string(rows.text(row, 2)), std::string(rows.text(row, 3)),
                   std::string(rows.text(row, 4)), rows.integer(row, 5)});
  }
  return out;
}

Result<void> FindingStore::step(std::int64_t id, const std::string& step, const std::string& by,
                                const std::string& note, const std::string& approver,
                                const std::string& until) {
  TRY(query("SELECT domicile.step_finding($1, $2, $3, $4, $5, nullif($6, '')::timestamptz)",
            {std::to_string(id), step, by, note, approver, until}));
  return {};
}

}  // namespace domicile::store
