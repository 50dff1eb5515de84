#include "store/maintenance.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/embedded_sql.h"

namespace domicile::store {
namespace {

bool allows(const std::vector<std::string>& allow, std::string_view what) {
  return std::ranges::find(allow, what) != allow.end();
}

// Those who are not members yet: only they are taken back at the end.
Result<std::vector<std::string>> to_be_lent(pg::Connection& connection,
                                            const MaintenanceRequest& request) {
  std::vector<std::string> lent;
  if (!allows(request.allow, "read") && !allows(request.allow, "write")) return lent;
  std::vector<std::string> wanted = request.roles;
  if (wanted.empty()) {
    auto me = TRY(connection.query("SELECT session_user"));
    wanted.emplace_back(me.text(0, 0));
  }
  for (const auto& role : wanted) {
    auto rows = TRY(connection.query(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON "
        "g.oid = m.roleid WHERE g.rolname = 'domicile_maintenance' AND m.member = r.oid) FROM "
        "pg_catalog.pg_roles r WHERE r.rolname = $1",
        {role}));
    if (rows.size() == 0)
      return fail(Code::invalid, fmt::format("--role {}: there is no such role", role),
                  "role_missing");
    if (!rows.boolean(0, 0)) lent.push_back(role);
  }
  return lent;
}

Result<void> drop_event_triggers(pg::Connection& connection) {
  return connection.transaction([&]() -> Result<void> {
    TRY(connection.script("DROP EVENT TRIGGER IF EXISTS domicile_drop"));
    return connection.script("DROP EVENT TRIGGER IF EXISTS domicile_ddl");
  });
}

Result<void> make_event_triggers(pg::Connection& connection) {
  std::string sql;
  for (const EmbeddedSql& file : embedded_sql()) {
    if (file.path.starts_with("region_superuser/")) sql += file.text;
  }
  return connection.transaction([&] { return connection.script(sql); });
}

// The same request once more, of a run that was interrupted: this one goes on with it.
Result<bool> begun_already(pg::Connection& connection, const MaintenanceRequest& request) {
  const auto last = TRY(maintenance_windows(connection, 1));
  auto me = TRY(connection.query("SELECT session_user"));
  return !last.empty() && last[0].begun_by == me.text(0, 0) && last[0].ended_at.empty() &&
         !last[0].expired && last[0].ticket == request.ticket && last[0].allow == request.allow &&
         std::ranges::all_of(request.roles,
                             [&](const auto& role) { return allows(last[0].roles, role); });
}

Result<void> open_window(pg::Connection& connection, const MaintenanceRequest& request) {
  const auto lent = TRY(to_be_lent(connection, request));
  return connection.transaction([&]() -> Result<void> {
    TRY(
        connection.query("SELECT domicile_private.begin_maintenance($1, "
                         "pg_catalog.make_interval(secs => $2::int), $3::text[], $4::name[])",
                         {request.ticket, std::to_string(request.lasts.count()),
                          pg::array_literal(request.allow), pg::array_literal(lent)}));
    for (const auto& role : lent) {
      TRY(connection.script(
          fmt::format("GRANT domicile_maintenance TO {}", pg::quote_identifier(role))));
    }
    return {};
  });
}

}  // namespace

Result<MaintenanceWindow> begin_maintenance(pg::Connection& connection,
                                            const MaintenanceRequest& request,
                                            pg::Connection* superuser) {
  if (!TRY(begun_already(connection, request))) TRY(open_window(connection, request));
  if (allows(request.allow, "event_triggers_off")) {
    pg::Connection& maker = superuser == nullptr ? connection : *superuser;
    if (auto dropped = drop_event_triggers(maker); !dropped) {
      // A window that does not hold what it promises is no window.
      TRY(end_maintenance(connection, superuser));
      return std::unexpected(std::move(dropped).error().within(
          "the event triggers were not dropped, and the window is ended again (as their owner: "
          "--superuser-dsn-file)"));
    }
  }
  auto windows = TRY(maintenance_windows(connection, 1));
  return windows[0];
}

Result<MaintenanceWindow> end_maintenance(pg::Connection& connection, pg::Connection* superuser) {
  const auto before = TRY(maintenance_windows(connection, 1));
  if (before.empty())
    return fail(Code::conflict, "there is no maintenance window to end: there never was one",
                "55000");
  if (!before[0].ended_at.empty())
    return fail(
        Code::conflict,
        fmt::format("there is no maintenance window to end: the last one, of ticket {}, was "
                    "ended {} by {}{}",
                    before[0].ticket, before[0].ended_at, before[0].ended_by,
                    !before[0].armed   ? ""
                    : *before[0].armed ? ", and everything was armed"
                                       : ", and NOT everything was armed"),
        "55000");
  std::string not_made;
  if (allows(before[0].allow, "event_triggers_off")) {
    const auto had = TRY(connection.query("SELECT event_triggers FROM domicile.region"));
    pg::Connection& maker = superuser == nullptr ? connection : *superuser;
    if (had.size() > 0 && had.boolean(0, 0)) {
      if (auto made = make_event_triggers(maker); !made) not_made = made.error().message;
    }
  }
  TRY(connection.transaction([&]() -> Result<void> {
    for (const auto& role : before[0].roles) {
      // A role that was dropped in the meantime is lent nothing any more.
      auto there = TRY(connection.query(
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", {role}));
      if (there.boolean(0, 0))
        TRY(connection.script(
            fmt::format("REVOKE domicile_maintenance FROM {}", pg::quote_identifier(role))));
    }
    TRY(connection.query("SELECT domicile_private.end_maintenance()"));
    return {};
  }));
  auto windows = TRY(maintenance_windows(connection, 1));
  if (!not_made.empty())
    windows[0].left_open.push_back("the event triggers could not be made again: " + not_made);
  return windows[0];
}

Result<std::vector<MaintenanceWindow>> maintenance_windows(pg::Connection& connection, int limit) {
  auto rows = TRY(connection.query(
      R"(SELECT m.id, m.ticket, pg_catalog.array_to_string(m.allow, E'\n'), pg_catalog.array_to_string(m.roles, E'\n'),
                pg_catalog.to_char(m.begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), m.begun_by,
                pg_catalog.to_char(m.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                coalesce(pg_catalog.to_char(m.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''), coalesce(m.ended_by, ''),
                m.expires_at <= pg_catalog.clock_timestamp(),
                greatest(0, pg_catalog.date_part('epoch', m.expires_at - pg_catalog.clock_timestamp()))::int8,
                m.armed IS NOT NULL, coalesce(m.armed, false), coalesce(pg_catalog.array_to_string(m.left_open, E'\n'), ''),
                (SELECT count(*) FROM domicile.maintenance_act a WHERE a.window_id = m.id),
                (SELECT count(*) FROM domicile.maintenance_act a WHERE a.window_id = m.id AND a.let_pass IS NOT NULL)
         FROM domicile.maintenance m ORDER BY m.id DESC LIMIT $1::int)",
      {std::to_string(limit)}));
  std::vector<MaintenanceWindow> windows;
  for (int i = 0; i < rows.size(); ++i) {
    MaintenanceWindow window{.id = rows.integer(i, 0),
                             .ticket = std::string(rows.text(i, 1)),
                             .allow = rows.lines(i, 2),
                             .roles = rows.lines(i, 3),
                             .begun_at = std::string(rows.text(i, 4)),
                             .begun_by = std::string(rows.text(i, 5)),
                             .expires_at = std::string(rows.text(i, 6)),
                             .ended_at = std::string(rows.text(i, 7)),
                             .ended_by = std::string(rows.text(i, 8)),
                             .expired = rows.boolean(i, 9),
                             .seconds_left = rows.integer(i, 10),
                             .armed = std::nullopt,
                             .left_open = rows.lines(i, 13),
                             .acts = rows.integer(i, 14),
                             .let_pass = rows.integer(i, 15)};
    if (rows.boolean(i, 11)) window.armed = rows.boolean(i, 12);
    windows.push_back(std::move(window));
  }
  return windows;
}

}  // namespace domicile::store
