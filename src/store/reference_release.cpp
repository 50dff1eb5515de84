#include "store/reference_release.h"

#include <fmt/format.h>

namespace domicile::store {
namespace {

constexpr const char* kUtc =
    "pg_catalog.to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

std::string utc(std::string_view column) { return fmt::format(fmt::runtime(kUtc), column); }

// 55000: out of turn. 42883: the functions are not there yet. 42501 on a function: no member of the
// group.
std::unexpected<Error> explained(Error error) {
  if (error.reason == "55000") error.code = Code::conflict;
  if (error.reason == "42883")
    error.message +=
        "; this database knows no releases: run `domicile region init` of this version";
  else if (error.reason == "42501" && error.message.contains("permission denied for function"))
    error.message +=
        "; whoever works with releases is a member of domicile_editor: GRANT "
        "domicile_editor TO the login";
  return std::unexpected(std::move(error));
}

Result<pg::Rows> ask(pg::Connection& connection, const std::string& sql,
                     std::initializer_list<pg::Param> params) {
  auto rows = connection.query(sql, params);
  if (!rows) return explained(std::move(rows).error());
  return rows;
}

// Values as the database prints them: no number passes through a double on its way to a person.
constexpr const char* kDiff = R"sql(
SELECT d.label, d.of_rows,
       (SELECT string_agg(format('%s=%s', k.key, k.value), ' ' ORDER BY k.key) FROM jsonb_each_text(d.key) k),
       CASE WHEN d.was IS NULL THEN 'insert' WHEN d.becomes IS NULL THEN 'delete' ELSE 'update' END,
       (SELECT string_agg(CASE WHEN d.was IS NULL THEN format('%s: %s', k, coalesce(n.value, 'NULL'))
                               WHEN d.becomes IS NULL THEN format('%s: %s', k, coalesce(o.value, 'NULL'))
                               ELSE format('%s: %s -> %s', k, coalesce(o.value, 'NULL'), coalesce(n.value, 'NULL')) END, E'\n' ORDER BY k)
        FROM jsonb_object_keys(coalesce(d.becomes, d.was)) k
        LEFT JOIN jsonb_each_text(d.was) o ON o.key = k LEFT JOIN jsonb_each_text(d.becomes) n ON n.key = k
        WHERE CASE WHEN d.was IS NULL OR d.becomes IS NULL THEN NOT d.key ? k ELSE o.value IS DISTINCT FROM n.value END),
       jsonb_build_object('table', d.label, 'key', d.key, 'was', d.was, 'becomes', d.becomes)::text
FROM domicile.release_diff($1, $2::bigint) d)sql";

}  // namespace

Result<void> create_release(pg::Connection& connection, const std::string& name,
                            const std::string& note) {
  TRY(ask(connection, "SELECT domicile.create_release($1, $2)", {name, note}));
  return {};
}

Result<ReleaseAdded> add_to_release(pg::Connection& connection, const std::string& name,
                                    const std::string& sql) {
  const auto rows = TRY(ask(connection,
                            "SELECT changes, repeated FROM domicile.add_to_release($1, $2, "
                            "pg_catalog.current_setting('search_path'))",
                            {name, sql}));
  return ReleaseAdded{.changes = rows.integer(0, 0), .repeated = rows.boolean(0, 1)};
}

Result<ReleaseDiff> release_diff(pg::Connection& connection, const std::string& name,
                                 std::int64_t most) {
  const auto rows = TRY(ask(connection, kDiff, {name, std::to_string(most)}));
  ReleaseDiff diff;
  for (int i = 0; i < rows.size(); ++i) {
    diff.of_rows = rows.integer(i, 1);
    diff.rows.push_back({.table = std::string(rows.text(i, 0)),
                         .key = std::string(rows.text(i, 2)),
                         .kind = std::string(rows.text(i, 3)),
                         .columns = std::string(rows.text(i, 4)),
                         .json = std::string(rows.text(i, 5))});
  }
  return diff;
}

Result<std::vector<ReleaseRecord>> releases(pg::Connection& connection) {
  const auto rows = TRY(ask(
      connection,
      fmt::format("SELECT name, state, note, pg_catalog.array_to_string(authors, E'\\n'), hash, "
                  "changes, {}, submitted_by, decided_by, decision_reason, published_by, {}, "
                  "current FROM domicile.releases()",
                  utc("created_at"), utc("published_at")),
      {}));
  std::vector<ReleaseRecord> found;
  for (int i = 0; i < rows.size(); ++i) {
    found.push_back({.name = std::string(rows.text(i, 0)),
                     .state = std::string(rows.text(i, 1)),
                     .note = std::string(rows.text(i, 2)),
                     .authors = rows.lines(i, 3),
                     .hash = std::string(rows.text(i, 4)),
                     .changes = rows.integer(i, 5),
                     .created_at = std::string(rows.text(i, 6)),
                     .submitted_by = std::string(rows.text(i, 7)),
                     .decided_by = std::string(rows.text(i, 8)),
                     .decision_reason = std::string(rows.text(i, 9)),
                     .published_by = std::string(rows.text(i, 10)),
                     .published_at = std::string(rows.text(i, 11)),
                     .current = rows.boolean(i, 12)});
  }
  return found;
}

Result<std::string> submit_release(pg::Connection& connection, const std::string& name) {
  const auto rows = TRY(ask(connection, "SELECT domicile.submit_release($1)", {name}));
  return std::string(rows.text(0, 0));
}

Result<std::string> decide_release(pg::Connection& connection, const std::string& name,
                                   bool approve, const std::string& reason,
                                   const std::string& seen) {
  const auto rows = TRY(ask(
      connection, "SELECT domicile.decide_release($1, $2::bool, $3, $4)",
      {name, approve ? "true" : "false", reason, seen.empty() ? pg::Param() : pg::Param(seen)}));
  return std::string(rows.text(0, 0));
}

Result<void> discard_release(pg::Connection& connection, const std::string& name) {
  TRY(ask(connection, "SELECT domicile.discard_release($1)", {name}));
  return {};
}

Result<std::vector<ReleaseConflict>> release_conflicts(pg::Connection& connection,
                                                       const std::string& name) {
  const auto rows =
      TRY(ask(connection, "SELECT label, key, what FROM domicile.release_conflicts($1)", {name}));
  std::vector<ReleaseConflict> found;
  for (int i = 0; i < rows.size(); ++i)
    found.push_back({.table = std::string(rows.text(i, 0)),
                     .key = std::string(rows.text(i, 1)),
                     .what = std::string(rows.text(i, 2))});
  return found;
}

Result<ReleaseDone> publish_release(pg::Connection& connection, const std::string& name) {
  const auto rows = TRY(ask(
      connection, "SELECT number, changes, repeated FROM domicile.publish_release($1)", {name}));
  return ReleaseDone{.number = rows.integer(0, 0),
                     .holds = name,
                     .changes = rows.integer(0, 1),
                     .repeated = rows.boolean(0, 2)};
}

Result<ReleaseDone> rollback_release(pg::Connection& connection, const std::string& name) {
  const auto rows = TRY(
      ask(connection, "SELECT number, now, changes, repeated FROM domicile.rollback_release($1)",
          {name.empty() ? pg::Param() : pg::Param(name)}));
  return ReleaseDone{.number = rows.integer(0, 0),
                     .holds = std::string(rows.text(0, 1)),
                     .changes = rows.integer(0, 2),
                     .repeated = rows.boolean(0, 3)};
}

Result<CurrentRelease> current_release(pg::Connection& connection) {
  const auto rows = TRY(ask(
      connection,
      fmt::format("SELECT name, number, {} FROM domicile.reference_release()", utc("published_at")),
      {}));
  return CurrentRelease{.name = std::string(rows.text(0, 0)),
                        .number = rows.integer(0, 1),
                        .published_at = std::string(rows.text(0, 2))};
}

Result<void> require_releases(pg::Connection& connection, bool required) {
  return connection.transaction([&]() -> Result<void> {
    TRY(ask(connection, "SELECT domicile_private.require_releases($1::bool)",
            {required ? "true" : "false"}));
    return {};
  });
}

}  // namespace domicile::store
