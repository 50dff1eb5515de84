// The doctor's look at reference sync: the login that reads or writes it, what the server must allow, and
// whether the stream runs.
#include <fmt/format.h>

#include "app/doctor_checks.h"
#include "base/file.h"
#include "pg/connection.h"

namespace domicile::app {
namespace {

constexpr const char* kLogin = R"(
  SELECT current_user, r.rolsuper, r.rolreplication, pg_has_role(current_user, 'domicile_publisher', 'member') AND NOT r.rolsuper,
         pg_has_role(current_user, 'domicile_reference', 'member') AND NOT r.rolsuper,
         NOT r.rolsuper AND (pg_has_role(current_user, 'domicile_owner', 'member') OR pg_has_role(current_user, 'domicile_keeper', 'member'))
  FROM pg_roles r WHERE r.rolname = current_user)";

// The publisher's login reads the log, the applier's writes reference tables; neither may do more.
void examine_login(pg::Connection& database, bool master, DoctorReport& report) {
  const auto rows = database.query(kLogin);
  if (!rows) {
    return report.fail(Check::reference_login, rows.error().message,
                       "domicile region init of this version makes the groups.");
  }
  const std::string login(rows->text(0, 0));
  const std::string group = master ? "domicile_publisher" : "domicile_reference";
  const std::string remedy =
      fmt::format("A login of its own: {}domicile region init --reference-role {}",
                  master ? "CREATE ROLE ... LOGIN REPLICATION; " : "", login);
  if (rows->boolean(0, 1) || rows->boolean(0, 5))
    return report.fail(
        Check::reference_login,
        fmt::format("{} is more than it should be: {}", login,
                    rows->boolean(0, 1) ? "a superuser" : "a member of domicile_owner or keeper"),
        remedy);
  if (!rows->boolean(0, master ? 3 : 4))
    return report.fail(Check::reference_login, fmt::format("{} is no member of {}", login, group),
                       remedy);
  if (master && !rows->boolean(0, 2))
    return report.fail(Check::reference_login, fmt::format("{} may not read the log", login),
                       fmt::format("ALTER ROLE {} REPLICATION", pg::quote_identifier(login)));
  if (!master && rows->boolean(0, 2))
    return report.warn(Check::reference_login,
                       fmt::format("{} has REPLICATION, which nobody needs here", login),
                       fmt::format("ALTER ROLE {} NOREPLICATION", pg::quote_identifier(login)));
  report.ok(Check::reference_login, fmt::format("{} is a member of {}", login, group));
}

// What a server needs for being read from its log.
void examine_log(pg::Connection& database, DoctorReport& report) {
  const auto rows = database.query(
      "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size'), "
      "current_setting('max_replication_slots')::int - (SELECT count(*) FROM "
      "pg_replication_slots), "
      "EXISTS (SELECT FROM pg_publication WHERE pubname = 'domicile_reference'), "
      "(SELECT string_agg(slot_name, ', ') FROM pg_replication_slots WHERE slot_name ~ "
      "'^domicile_' AND wal_status IN ('unreserved', 'lost'))");
  if (!rows) return report.fail(Check::reference_log, rows.error().message, "Look at the server.");
  if (rows->text(0, 0) != "logical")
    return report.fail(
        Check::reference_log, fmt::format("wal_level is {}", rows->text(0, 0)),
        "ALTER SYSTEM SET wal_level = logical, and restart PostgreSQL: no region can "
        "follow before.");
  if (!rows->boolean(0, 3))
    return report.warn(Check::reference_log, "there is no publication domicile_reference",
                       "domicile region init --master, with a reference table in mode enforce in "
                       "the catalog.");
  if (!rows->null(0, 4))
    return report.fail(
        Check::reference_log,
        fmt::format("the log that a region needs is gone or about to go: {}", rows->text(0, 4)),
        "It copies everything anew by itself; raise max_slot_wal_keep_size when "
        "regions are away for longer.");
  if (rows->text(0, 1) == "-1")
    return report.warn(Check::reference_log, "max_slot_wal_keep_size is not set",
                       "Set it (64GB): the log of a region that is away for long fills the "
                       "master's disk otherwise.");
  if (rows->integer(0, 2) < 1)
    return report.warn(Check::reference_log, "no replication slot is free for another region",
                       "Raise max_replication_slots and max_wal_senders.");
  report.ok(Check::reference_log,
            fmt::format("wal_level is logical, {} slots are free, {} are kept", rows->integer(0, 2),
                        rows->text(0, 1)));
}

void examine_stream(pg::Connection& database, bool master, DoctorReport& report) {
  const auto rows = database.query(
      "SELECT region, state, concat_ws(': ', nullif(reason, ''), nullif(detail, '')), "
      "extract(epoch FROM clock_timestamp() - contact_at)::bigint FROM domicile.reference_status "
      "ORDER BY state = 'streaming', region");
  if (!rows) return;
  if (rows->size() == 0)
    return report.ok(Check::reference_stream, "no region has asked for reference data yet");
  const bool silent = rows->null(0, 3) || rows->integer(0, 3) > 300;
  const std::string seen =
      fmt::format("{} {}{}{}", rows->text(0, 0), rows->text(0, 1),
                  rows->text(0, 2).empty() ? "" : fmt::format(" ({})", rows->text(0, 2)),
                  !silent            ? ""
                  : rows->null(0, 3) ? ", the master never answered"
                                     : fmt::format(", silent for {} s", rows->integer(0, 3)));
  if (rows->text(0, 1) != "streaming" || silent) {
    report.warn(Check::reference_stream, seen,
                master ? "domicile reference status there; is that region's node running?"
                       : "domicile reference status says what stands in the way.");
  } else {
    report.ok(Check::reference_stream, seen);
  }
}

}  // namespace

void examine_reference(const NodeConfig& config, DoctorReport& report) {
  if (config.reference_dsn_file.empty()) return;
  const auto dsn = read_secret_file(config.reference_dsn_file);
  if (!dsn) return;  // told with the secret files
  auto opened = pg::Connection::open(std::string(dsn->reveal()));
  if (!opened) {
    return report.fail(Check::reference_login, opened.error().message,
                       "Correct reference.dsn_file.");
  }
  const auto region = opened->query("SELECT region, master FROM domicile.region_status()");
  if (!region || region->size() != 1) {
    return report.fail(Check::reference_login,
                       region ? "the database holds no region" : region.error().message,
                       "domicile region init --reference-role, with the login of "
                       "reference.dsn_file.");
  }
  if (region->text(0, 0) != config.region.view()) {
    return report.fail(Check::reference_login,
                       fmt::format("reference.dsn_file leads to region {}", region->text(0, 0)),
                       "Name this region's own database in it.");
  }
  const bool master = region->boolean(0, 1);
  examine_login(*opened, master, report);
  if (master) examine_log(*opened, report);
  examine_stream(*opened, master, report);
}

}  // namespace domicile::app
