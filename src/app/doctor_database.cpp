#include <cmath>

#include <fmt/format.h>

#include "app/doctor_checks.h"
#include "base/file.h"
#include "pg/connection.h"
#include "store/region_store.h"
#include "store/server_version.h"

namespace domicile::app {
namespace {

constexpr double kClockWarnS = 1.0;
constexpr double kClockFailS = 5.0;  // what enter() tolerates

bool is_remote(pg::Connection& database) {
  const auto rows = database.query(
      "SELECT coalesce(inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1', true)");
  return rows && !rows->boolean(0, 0);
}

void examine_clock(pg::Connection& database, const Clock& clock, DoctorReport& report) {
  const auto before = clock.now();
  const auto rows = database.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
  const auto after = clock.now();
  if (!rows) return;
  const auto middle = (before.time_since_epoch() + after.time_since_epoch()) / 2;
  const double off = static_cast<double>(rows->integer(0, 0) - middle.count()) / 1000.0;
  const std::string seen =
      fmt::format("the database's clock is {:+.1f} s from this machine's", off);
  const std::string remedy =
      "Run NTP (chrony) on both: enter() tolerates 5 s, and a context lives 60.";
  if (std::abs(off) >= kClockFailS) {
    report.fail(Check::clock_database, seen, remedy);
  } else if (std::abs(off) >= kClockWarnS) {
    report.warn(Check::clock_database, seen, remedy);
  } else {
    report.ok(Check::clock_database, seen);
  }
}

// Attributes and memberships that a run-time login must not have; "" when there are none.
std::string excess_of(pg::Connection& database, std::string_view wanted) {
  const auto rows = database.query(
      "SELECT concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls "
      "THEN 'BYPASSRLS' END, "
      "CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolreplication THEN "
      "'REPLICATION' END, "
      "(SELECT string_agg('member of ' || g.rolname, ', ') FROM pg_roles g WHERE g.rolname IN "
      "('domicile_owner', "
      "'domicile_keeper', 'domicile_node', 'domicile_app', 'domicile_reference') AND g.rolname <> "
      "$1 AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'member')), "
      "(SELECT 'owner of ' || count(*) || ' tables' FROM pg_class c WHERE c.relowner = r.oid AND "
      "c.relkind IN ('r', 'p') "
      "AND c.relnamespace::regnamespace::text NOT LIKE 'pg\\_%' HAVING count(*) > 0)) "
      "FROM pg_roles r WHERE r.rolname = current_user",
      {std::string(wanted)});
  return rows && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
}

bool is_member(pg::Connection& database, std::string_view group) {
  const auto rows = database.query(
      "SELECT EXISTS (SELECT FROM pg_roles g WHERE g.rolname = $1 AND pg_has_role(current_user, "
      "g.oid, 'member'))",
      {std::string(group)});
  return rows && rows->boolean(0, 0);
}

void examine_login(pg::Connection& database, Check check, const std::string& group,
                   DoctorReport& report) {
  const auto name = database.query("SELECT current_user");
  const std::string login(name ? name->text(0, 0) : "the login");
  const std::string excess = excess_of(database, group);
  if (!is_member(database, group)) {
    report.fail(check, fmt::format("{} is no member of {}", login, group),
                fmt::format("domicile region init with --{}-role {}",
                            group == "domicile_node" ? "node" : "app", login));
  } else if (!excess.empty()) {
    report.fail(check, fmt::format("{} is more than it should be: {}", login, excess),
                "Use a login of its own that has nothing but that membership: what it has beyond "
                "it goes around the guard.");
  } else {
    report.ok(check, fmt::format("{} is a member of {} and nothing more", login, group));
  }
}

void examine_pooler(pg::Connection& database, DoctorReport& report) {
  // A pooler answers with a number of its own for cancel requests.
  const auto rows = database.query("SELECT pg_backend_pid()");
  if (rows && rows->integer(0, 0) != database.backend_pid()) {
    report.warn(Check::pooler, "the node reaches its database through a pooler",
                "Give the node the server's own address: it keeps few connections, fences by "
                "looking at the server's sessions, "
                "and a pooler's outage should not close the region.");
  } else {
    report.ok(Check::pooler, "direct");
  }
}

std::string setting(pg::Connection& database, const std::string& name) {
  const auto rows = database.query("SELECT current_setting($1, true)", {name});
  return rows && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
}

void examine_settings(pg::Connection& database, DoctorReport& report) {
  std::string unsafe;
  for (const char* name : {"fsync", "full_page_writes", "synchronous_commit"}) {
    if (setting(database, name) == "off")
      unsafe += fmt::format("{}{} is off", unsafe.empty() ? "" : ", ", name);
  }
  if (unsafe.empty()) {
    report.ok(Check::durability, "fsync, full_page_writes and synchronous_commit are on");
  } else {
    report.fail(Check::durability, unsafe,
                "Turn them on: after a crash, committed rows and placements may be gone.");
  }

  const std::string on_error = setting(database, "log_parameter_max_length_on_error");
  const std::string always = setting(database, "log_parameter_max_length");
  const bool logs = setting(database, "log_statement") != "none" ||
                    setting(database, "log_min_duration_statement") != "-1";
  const std::string statement = setting(database, "log_min_error_statement");
  std::string values;
  if (on_error != "0") values += fmt::format("log_parameter_max_length_on_error is {}; ", on_error);
  if (logs && always != "0")
    values += fmt::format("statements are logged with parameters (log_parameter_max_length {}); ",
                          always);
  if (statement != "fatal" && statement != "panic")
    values += fmt::format("log_min_error_statement is {}; ", statement);
  if (values.empty()) {
    report.ok(Check::statement_logging, "the server's log keeps no values");
  } else {
    values.resize(values.size() - 2);
    report.warn(Check::statement_logging, values,
                "The server's log then holds organizations' data: log_min_error_statement = fatal, "
                "log_parameter_max_length = 0, log_parameter_max_length_on_error = 0.");
  }
  if (const std::string prepared = setting(database, "max_prepared_transactions");
      prepared == "0") {
    report.ok(Check::prepared_transactions, "max_prepared_transactions is 0");
  } else {
    report.warn(Check::prepared_transactions, "max_prepared_transactions is " + prepared,
                "Set it to 0 unless two-phase commit is used: a forgotten prepared transaction "
                "holds up every fence and move.");
  }
  if (const std::string idle = setting(database, "idle_in_transaction_session_timeout");
      idle != "0") {
    report.ok(Check::idle_transactions, "idle transactions end after " + idle);
  } else {
    report.warn(Check::idle_transactions, "idle_in_transaction_session_timeout is off",
                "Set it (60s): a transaction that stays open makes fences and moves wait.");
  }
}

void examine_event_triggers(pg::Connection& database, DoctorReport& report) {
  const auto rows = database.query(
      "SELECT count(*), count(*) FILTER (WHERE evtenabled <> 'A') FROM pg_event_trigger WHERE "
      "evtname LIKE 'domicile%'");
  if (!rows) return;
  if (rows->integer(0, 0) == 0) {
    report.warn(Check::event_triggers,
                "no event triggers: what weakens the guard is found afterwards, not refused",
                "domicile region init --superuser-dsn-file where a superuser can be had; else "
                "schedule domicile check.");
  } else if (rows->integer(0, 1) > 0) {
    report.fail(Check::event_triggers,
                fmt::format("{} event triggers do not fire for everybody", rows->integer(0, 1)),
                "domicile region init --superuser-dsn-file arms them again; then domicile region "
                "violations says what happened meanwhile.");
  } else {
    report.ok(Check::event_triggers, fmt::format("{} armed", rows->integer(0, 0)));
  }
}

void examine_region(pg::Connection& database, const NodeConfig& config, const Clock& clock,
                    DoctorReport& report) {
  store::RegionStore store(database, clock);
  const auto status = store.status();
  if (!status) {
    report.fail(Check::database_region,
                fmt::format("it does not say which region it is: {}", status.error().message),
                "domicile region init makes it one; it also gives the node's login its rights.");
    return;
  }
  if (status->region != config.region) {
    report.fail(Check::database_region,
                fmt::format("the database is region {}, the node {}", status->region.view(),
                            config.region.view()),
                "Correct database.dsn_file: this is another region's database.");
  } else {
    report.ok(Check::database_region, fmt::format("{}, {} organizations homed",
                                                  status->region.view(), status->organizations));
  }
  if (status->in_recovery) {
    report.fail(Check::database_region_open, "the server is a standby: nothing can be written",
                "Point database.dsn_file at the primary.");
  } else if (!status->open) {
    report.fail(Check::database_region_open,
                fmt::format("the region is closed: {}",
                            status->reason.empty()
                                ? fmt::format("timeline {} is not the approved {}",
                                              status->timeline, status->approved_timeline)
                                : status->reason),
                "domicile region reconcile compares it with the registry and opens it.");
  } else {
    report.ok(Check::database_region_open, "open");
  }
  examine_event_triggers(database, report);
}

}  // namespace

void examine_database(const NodeConfig& config, const Clock& clock, DoctorReport& report) {
  const auto dsn = read_secret_file(config.database_dsn_file);
  if (!dsn) return;  // told with the secret files
  auto opened = pg::Connection::open(std::string(dsn->reveal()));
  if (!opened) {
    report.fail(Check::database, opened.error().message,
                "Is the server running, the address in database.dsn_file right, and pg_hba.conf "
                "open to this machine?");
    return;
  }
  pg::Connection& database = *opened;
  report.ok(Check::database,
            fmt::format("reached, PostgreSQL {}", store::version_text(database.server_version())));
  if (const auto version = store::check_server_version(database.server_version()); !version) {
    report.fail(Check::server_version, version.error().message,
                "Install the release line's newest minor version.");
  } else {
    report.ok(Check::server_version, store::version_text(database.server_version()));
  }
  examine_login(database, Check::node_role, "domicile_node", report);
  examine_pooler(database, report);
  examine_region(database, config, clock, report);
  examine_clock(database, clock, report);
  examine_settings(database, report);
  const auto tls = database.query(
      "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)");
  if (tls && !tls->boolean(0, 0) && is_remote(database)) {
    report.fail(Check::database_tls, "the connection to the database is not encrypted",
                "sslmode=verify-full and sslrootcert in database.dsn_file");
  } else {
    report.ok(Check::database_tls, tls && tls->boolean(0, 0) ? "encrypted" : "on this machine");
  }
}

void examine_application_pool(const std::filesystem::path& dsn_file, DoctorReport& report) {
  const auto dsn = read_secret_file(dsn_file);
  auto opened = dsn ? pg::Connection::open(std::string(dsn->reveal()))
                    : Result<pg::Connection>(std::unexpected(dsn.error()));
  if (!opened) {
    report.fail(Check::application_pooling, opened.error().message,
                "The address that the application's pool uses, in a file of mode 600.");
    return;
  }
  const auto pid = opened->query("SELECT pg_backend_pid()");
  const bool pooled = pid && pid->integer(0, 0) != opened->backend_pid();
  const auto whole = opened->transaction([&]() -> Result<void> {
    const auto here = TRY(opened->query("SELECT pg_backend_pid()"));
    const auto there = TRY(opened->query("SELECT pg_backend_pid()"));
    if (here.text(0, 0) == there.text(0, 0)) return {};
    return fail(Code::invalid, "one transaction went over two connections of the server");
  });
  if (!whole) {
    report.fail(Check::application_pooling, whole.error().message,
                "pool_mode = transaction or session: in statement mode a context has no "
                "transaction to live in.");
  } else {
    report.ok(Check::application_pooling,
              pooled ? "through a pooler that keeps transactions whole" : "direct");
  }
  examine_login(*opened, Check::application_role, "domicile_app", report);
}

}  // namespace domicile::app
