#include "store/region_install.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/embedded_sql.h"
#include "store/publication.h"
#include "store/server_version.h"
#include "store/temporary_tables.h"

namespace domicile::store {
namespace {

Result<bool> yes(pg::Connection& connection, const std::string& sql,
                 std::initializer_list<pg::Param> params = {}) {
  auto rows = TRY(connection.query(sql, params));
  return rows.size() > 0 && rows.boolean(0, 0);
}

// Everything that would make the run fail half way, before it starts.
Result<void> check_ground(pg::Connection& connection, const catalog::Catalog& catalog,
                          const InstallOptions& options) {
  if (!options.allow_old_server) TRY(check_server_version(connection.server_version()));
  if (TRY(yes(connection, "SELECT pg_catalog.pg_is_in_recovery()"))) {
    return fail(Code::invalid, "this server is a standby: install on the primary", "standby");
  }
  if (!TRY(yes(connection,
               "SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = "
               "current_user"))) {
    return fail(
        Code::denied,
        "the installer's role may not create roles; as an administrator: ALTER ROLE ... CREATEROLE",
        "installer_rights");
  }
  if (!TRY(yes(connection,
               "SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')"))) {
    return fail(Code::denied,
                "the installer's role may not create schemas here; make it the database's owner, "
                "or GRANT CREATE ON DATABASE",
                "installer_rights");
  }
  for (const auto* roles : {&options.app_roles, &options.node_roles, &options.reference_roles}) {
    for (const auto& role : *roles) {
      if (!TRY(yes(connection, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)",
                   {role}))) {
        return fail(Code::invalid, fmt::format("role {} does not exist; create it first", role),
                    "role_missing");
      }
    }
  }
  // Roles belong to the whole server, so all guarded databases of a server are one region.
  auto other =
      TRY(connection.query("SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM "
                           "pg_catalog.pg_roles WHERE rolname = 'domicile_owner'"));
  if (other.size() > 0 && !other.null(0, 0) &&
      other.text(0, 0) != "domicile region " + options.region.text()) {
    return fail(Code::conflict,
                fmt::format("this server already holds {}: who is homed is told by roles, which "
                            "all its databases share; "
                            "use a server of its own for region {}",
                            other.text(0, 0), options.region.text()),
                "server_is_another_region");
  }
  if (!TRY(yes(connection, "SELECT pg_catalog.to_regclass('domicile.region') IS NOT NULL")))
    return {};
  auto here = TRY(connection.query("SELECT region, key_type FROM domicile.region"));
  if (here.size() > 0 && here.text(0, 0) != options.region.text()) {
    return fail(Code::invalid,
                fmt::format("this database is region {}, not {}; a database is one region for life",
                            here.text(0, 0), options.region.text()),
                "region_mismatch");
  }
  if (here.size() > 0 && here.text(0, 1) != to_string(catalog.key_type)) {
    return fail(Code::invalid,
                fmt::format("this region was installed for keys of type {}, the catalog says {}",
                            here.text(0, 1), to_string(catalog.key_type)),
                "key_type_mismatch");
  }
  return {};
}

MigrationOptions migration_options(const catalog::Catalog& catalog, const InstallOptions& options) {
  MigrationOptions out{.set = "region",
                       .schema = "domicile",
                       .values = region_placeholders(catalog.key_type),
                       .dry_run = options.apply.dry_run,
                       .on_step = {}};
  out.prologue =
      "DO $do$ BEGIN IF pg_catalog.to_regprocedure('domicile_private.begin_upgrade()') IS NOT NULL "
      "THEN "
      "PERFORM domicile_private.begin_upgrade(); END IF; END $do$";
  out.epilogue =
      "DO $do$ BEGIN IF pg_catalog.to_regprocedure('domicile_private.pin()') IS NOT NULL THEN "
      "PERFORM domicile_private.pin(); END IF; END $do$";
  if (options.apply.progress) {
    out.on_step = [progress = options.apply.progress](const MigrationStep& step) {
      progress(fmt::format("step {:04} {}", step.version, step.name));
    };
  }
  return out;
}

Result<void> configure(pg::Connection& connection, const InstallOptions& options,
                       InstallReport& report) {
  auto here = TRY(connection.query("SELECT master FROM domicile.region"));
  report.first = here.size() == 0;
  if (!report.first && here.boolean(0, 0) == options.master) return {};
  TRY(connection.transaction([&]() -> Result<void> {
    TRY(connection.query("SELECT domicile_private.configure($1, $2::bool)",
                         {options.region.text(), options.master ? "true" : "false"}));
    if (report.first)
      TRY(connection.script("COMMENT ON ROLE domicile_owner IS " +
                            pg::quote_literal("domicile region " + options.region.text())));
    return {};
  }));
  return {};
}

Result<void> grant_memberships(pg::Connection& connection, const InstallOptions& options,
                               InstallReport& report) {
  const auto grant = [&](const std::string& group,
                         const std::vector<std::string>& roles) -> Result<void> {
    for (const auto& role : roles) {
      const auto is_member = TRY(yes(
          connection,
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON "
          "g.oid = m.roleid "
          "JOIN pg_catalog.pg_roles u ON u.oid = m.member WHERE g.rolname = $1 AND u.rolname = $2)",
          {group, role}));
      if (is_member) continue;
      report.granted.push_back(fmt::format("GRANT {} TO {}", group, pg::quote_identifier(role)));
      if (!options.apply.dry_run) TRY(connection.script(report.granted.back()));
    }
    return {};
  };
  TRY(grant("domicile_app", options.app_roles));
  TRY(grant("domicile_node", options.node_roles));
  return grant(options.master ? "domicile_publisher" : "domicile_reference",
               options.reference_roles);
}

constexpr const char* kEventTriggersThere =
    "SELECT count(*) = 2 FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled = 'A' AND "
    "((e.evtname = 'domicile_ddl' AND e.evtfoid = to_regprocedure('domicile.on_ddl()')) OR "
    " (e.evtname = 'domicile_drop' AND e.evtfoid = to_regprocedure('domicile_private.on_drop()')))";

Result<void> event_triggers(pg::Connection& connection, const InstallOptions& options,
                            InstallReport& report) {
  report.event_triggers = TRY(yes(connection, kEventTriggersThere));
  if (!report.event_triggers && !options.apply.dry_run) {
    std::string sql;
    for (const EmbeddedSql& file : embedded_sql()) {
      if (file.path.starts_with("region_superuser/")) sql += file.text;
    }
    pg::Connection& maker = options.superuser == nullptr ? connection : *options.superuser;
    auto made = maker.transaction([&] { return maker.script(sql); });
    report.event_triggers = made.has_value();
    if (!made) report.event_triggers_missing = made.error().message;
  }
  if (options.apply.dry_run) return {};
  TRY(connection.query(
      "UPDATE domicile.region SET event_triggers = $1::bool WHERE event_triggers <> $1::bool",
      {report.event_triggers ? "true" : "false"}));
  return {};
}

// After a major upgrade to PostgreSQL 16 or later: see sql/region_superuser/0002_keeper.sql.
Result<void> keeper_admin(pg::Connection& connection, const InstallOptions& options) {
  if (connection.server_version() < 160'000 || options.apply.dry_run) return {};
  constexpr const char* kLacking =
      "SELECT count(*) FROM pg_catalog.pg_roles r WHERE (r.rolname IN (SELECT o.role FROM "
      "domicile.organization o) OR r.rolname ~ '^domicile_((home|away)_|tenant$)') AND NOT EXISTS "
      "(SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option AND "
      "m.member = 'domicile_keeper'::pg_catalog.regrole)";
  auto lacking = TRY(connection.query(kLacking));
  if (lacking.integer(0, 0) == 0) return {};
  pg::Connection& maker = options.superuser == nullptr ? connection : *options.superuser;
  for (const EmbeddedSql& file : embedded_sql()) {
    if (file.path != "region_superuser/0002_keeper.sql") continue;
    if (maker.script(std::string(file.text))) return {};
  }
  return fail(Code::denied,
              fmt::format("{} roles were made before the upgrade to PostgreSQL {}, and "
                          "domicile_keeper may not manage them, so no organization can be homed or "
                          "fenced; run this once more with --superuser-dsn-file",
                          lacking.integer(0, 0), connection.server_version() / 10'000),
              "keeper_admin");
}

}  // namespace

bool InstallReport::changed() const {
  return first || !migrations.pending.empty() || !granted.empty() || !publication.empty() ||
         std::any_of(tables.begin(), tables.end(), [](const TableOutcome& t) {
           return t.state != TableOutcome::State::unchanged;
         });
}

bool InstallReport::blocked() const {
  return std::any_of(tables.begin(), tables.end(),
                     [](const TableOutcome& t) { return t.state == TableOutcome::State::blocked; });
}

Result<InstallReport> install_region(pg::Connection& connection, const catalog::Catalog& catalog,
                                     const InstallOptions& options) {
  InstallReport report;
  TRY(check_ground(connection, catalog, options));
  const ApplyPlan plan = TRY(prepare_catalog(connection, catalog));
  const PublicationPlan publication =
      TRY(prepare_publication(connection, catalog, plan.guards, options.master));

  report.migrations = TRY(migrate(connection, migration_options(catalog, options)));
  const bool installed =
      TRY(yes(connection, "SELECT pg_catalog.to_regclass('domicile.region') IS NOT NULL"));
  if (!options.apply.dry_run) {
    TRY(configure(connection, options, report));
  } else {
    report.first = !installed;
  }
  TRY(settle_publication(connection, publication, PublicationHalf::take_out, options.apply));
  report.tables = TRY(apply_catalog(connection, plan, options.apply));
  report.publication =
      TRY(settle_publication(connection, publication, PublicationHalf::complete, options.apply));
  report.publication_notes = publication.notes;
  TRY(grant_memberships(connection, options, report));
  const bool enforced = std::any_of(
      plan.guards.begin(), plan.guards.end(),
      [](const TableGuard& g) { return g.mode == catalog::Mode::enforce && !g.planned; });
  if (!options.keep_temporary) {
    for (auto& line : TRY(settle_temporary_tables(connection, enforced, options.apply.dry_run)))
      report.granted.push_back(std::move(line));
  }
  if (options.apply.dry_run) {
    if (installed) report.event_triggers = TRY(yes(connection, kEventTriggersThere));
    return report;
  }
  TRY(event_triggers(connection, options, report));
  TRY(keeper_admin(connection, options));
  if (report.first || options.accept_findings)
    TRY(connection.script("SELECT domicile_private.accept_violations()"));
  report.findings = TRY(region_findings(connection));
  return report;
}

Result<std::vector<Finding>> region_findings(pg::Connection& connection) {
  auto rows = TRY(
      connection.query("SELECT kind, object, detail, severity, known FROM domicile.violations()"));
  std::vector<Finding> findings;
  for (int i = 0; i < rows.size(); ++i) {
    findings.push_back({.kind = std::string(rows.text(i, 0)),
                        .object = std::string(rows.text(i, 1)),
                        .detail = std::string(rows.text(i, 2)),
                        .refuse = rows.text(i, 3) == "refuse",
                        .known = rows.boolean(i, 4)});
  }
  return findings;
}

}  // namespace domicile::store
