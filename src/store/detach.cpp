#include "store/detach.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/temporary_tables.h"

namespace domicile::store {
namespace {

using Lines = std::vector<std::string>;

Result<Lines> column(pg::Connection& connection, const std::string& sql,
                     std::initializer_list<pg::Param> params = {}) {
  auto rows = TRY(connection.query(sql, params));
  Lines out;
  for (int i = 0; i < rows.size(); ++i) out.emplace_back(rows.text(i, 0));
  return out;
}

// What would go with our schemas by CASCADE and is not ours: views, defaults, functions, policies.
constexpr const char* kDependents = R"SQL(
  SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_catalog.pg_depend d
  LEFT JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_type t ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.refobjid
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
  WHERE coalesce(p.pronamespace, c.relnamespace, t.typnamespace) IN
          (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname IN ('domicile', 'domicile_private', 'domicile_directory'))
    AND coalesce(i.schema, '') !~ '^(domicile|domicile_private|domicile_directory|pg_toast)$' AND i.type <> 'event trigger'
    AND i.identity !~ '(^| on |for )domicile(_private|_directory|)[.]'
    AND NOT (d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND i.identity ~ '^domicile_')
    AND NOT (d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND i.identity ~ '^domicile_')
    AND d.classid <> 'pg_catalog.pg_constraint'::pg_catalog.regclass
  ORDER BY 1)SQL";

Result<void> check_ground(pg::Connection& connection, const DetachOptions& options,
                          DetachReport& report) {
  const auto region = TRY(column(connection, "SELECT region FROM domicile.region"));
  report.region = region.empty() ? "" : region[0];
  if (options.confirm != report.region && !options.dry_run) {
    return fail(Code::invalid,
                fmt::format("this takes Domicile off region {} of database {}; write --confirm {} "
                            "to mean it",
                            report.region,
                            TRY(column(connection, "SELECT pg_catalog.current_database()"))[0],
                            report.region),
                "not_confirmed");
  }
  const auto dependents = TRY(column(connection, kDependents));
  if (!dependents.empty()) {
    return fail(Code::invalid,
                fmt::format("these use Domicile's functions and would be dropped with them; change "
                            "or drop them first, nothing was changed:\n  {}",
                            fmt::join(dependents, "\n  ")),
                "dependents");
  }
  const auto strangers = TRY(column(
      connection,
      "SELECT DISTINCT pg_catalog.format('%s (owner %s)', c.oid::pg_catalog.regclass, o.rolname) "
      "FROM "
      "domicile_private.touched() t CROSS JOIN LATERAL domicile_private.tree(t.rel) r JOIN "
      "pg_catalog.pg_class c ON c.oid = r JOIN pg_catalog.pg_roles o ON o.oid = c.relowner WHERE "
      "NOT pg_catalog.pg_has_role(current_user, c.relowner, 'usage')"));
  if (!strangers.empty()) {
    return fail(Code::denied,
                fmt::format("these belong to others, whose rights this login needs (GRANT owner TO "
                            "it); nothing was changed:\n  {}",
                            fmt::join(strangers, "\n  ")),
                "not_owner");
  }
  const auto users = TRY(connection.query("SELECT count(*) FROM domicile_directory.user_account"));
  if (users.integer(0, 0) > 0 && !options.discard_directory && !options.dry_run) {
    return fail(Code::invalid,
                fmt::format("Domicile's directory holds {} user accounts, which would go with it; "
                            "export them, or add --discard-directory; nothing was changed",
                            users.integer(0, 0)),
                "directory_in_use");
  }
  return {};
}

// One step in one transaction; tried again while others hold the locks.
Result<void> run_step(pg::Connection& connection, const DetachOptions& options, DetachStep& step) {
  if (options.dry_run) return {};
  if (options.progress) options.progress(step.what);
  for (int attempt = 1;; ++attempt) {
    auto done = connection.transaction([&]() -> Result<void> {
      TRY(connection.script(
          fmt::format("SET LOCAL lock_timeout = {}", options.lock_timeout.count())));
      TRY(connection.script(
          "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('domicile."
          "migration.region', 0))"));
      if (step.what != "roles") TRY(connection.script("SELECT domicile_private.begin_upgrade()"));
      for (const auto& statement : step.sql) {
        if (auto one = connection.script(statement); !one)
          return std::unexpected(std::move(one).error().within(statement));
      }
      return {};
    });
    if (done) {
      step.done = true;
      return {};
    }
    if (done.error().reason != "55P03")
      return std::unexpected(std::move(done).error().within(step.what));
    if (attempt == options.attempts) {
      step.blocked_by = fmt::format("locked by others for {} attempts of {} ms", attempt,
                                    options.lock_timeout.count());
      return {};
    }
  }
}

// The publication of reference tables, and what it leaves: a slot keeps the log until somebody drops it.
Result<void> publication(pg::Connection& connection, const DetachOptions& options,
                         DetachReport& report) {
  const auto there = TRY(
      column(connection,
             "SELECT pubname FROM pg_catalog.pg_publication WHERE pubname = 'domicile_reference'"));
  if (!there.empty()) {
    DetachStep step{
        .what = "publication", .sql = {"DROP PUBLICATION domicile_reference"}, .blocked_by = {}};
    TRY(run_step(connection, options, step));
    report.steps.push_back(std::move(step));
  }
  const auto followed =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile.reference_peer') IS NOT NULL"));
  if (!followed.boolean(0, 0)) return {};
  const auto slots = TRY(column(
      connection,
      "SELECT p.slot FROM domicile.reference_peer p JOIN pg_catalog.pg_replication_slots s ON "
      "s.slot_name = p.slot ORDER BY 1"));
  for (const auto& slot : slots)
    report.kept.push_back(
        fmt::format("replication slot {0}, which keeps the log until it is dropped: SELECT "
                    "pg_drop_replication_slot('{0}') as a role with REPLICATION",
                    slot));
  return {};
}

Result<void> tables(pg::Connection& connection, const DetachOptions& options,
                    DetachReport& report) {
  auto rows = TRY(
      connection.query("SELECT label, schema_name, table_name FROM domicile_private.touched()"));
  for (int i = 0; i < rows.size(); ++i) {
    DetachStep step{.what = std::string(rows.text(i, 0)), .sql = {}, .blocked_by = {}};
    step.sql = TRY(column(connection,
                          "SELECT u FROM domicile_private.undo(pg_catalog.to_regclass($1), true) u",
                          {step.what}));
    // Until the schemas go it is known as a table that is off.
    step.sql.push_back(fmt::format(
        "UPDATE domicile.catalog_table SET mode = 'off', spec = '' WHERE schema_name = {} AND "
        "table_name = {}",
        pg::quote_literal(rows.text(i, 1)), pg::quote_literal(rows.text(i, 2))));
    TRY(run_step(connection, options, step));
    report.steps.push_back(std::move(step));
  }
  return {};
}

// Everything else in the database that names one of our roles: schemas above all.
constexpr const char* kOtherGrants = R"(
  SELECT pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s', n.nspname, pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(r.rolname), ', '))
  FROM pg_catalog.pg_namespace n CROSS JOIN pg_catalog.aclexplode(n.nspacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
  WHERE r.rolname ~ '^domicile_' AND n.nspname !~ '^domicile(_|$)' GROUP BY n.nspname ORDER BY 1)";

constexpr const char* kRoles = R"(
  SELECT r.rolname, (SELECT coalesce(pg_catalog.string_agg(DISTINCT coalesce('database ' || d.datname, 'the server'), ', '), '')
                     FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
                     WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid
                       AND s.deptype <> 'i' AND NOT (s.dbid = (SELECT o.oid FROM pg_catalog.pg_database o WHERE o.datname = current_database()) AND $1::bool))
  FROM pg_catalog.pg_roles r
  WHERE (r.rolname ~ '^domicile_' AND NOT r.rolcanlogin)
     OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                WHERE g.rolname = 'domicile_tenant' AND m.member = r.oid AND r.rolname ~ '^org_')
  ORDER BY r.rolname ~ '^domicile_' , r.rolname)";

Result<void> roles(pg::Connection& connection, const DetachOptions& options, DetachReport& report) {
  if (!options.drop_roles) {
    report.kept.emplace_back(
        "roles domicile_*, org_* and their memberships (they belong to the whole server); drop "
        "them with --drop-roles");
    return {};
  }
  auto rows = TRY(connection.query(kRoles, {options.dry_run ? "true" : "false"}));
  DetachStep all{.what = "roles", .sql = {}, .blocked_by = {}};
  std::string elsewhere;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.text(i, 0) == "domicile_owner") elsewhere = rows.text(i, 1);
  }
  if (!elsewhere.empty()) {
    report.kept.push_back(
        fmt::format("all roles: {} is guarded too, and its homes are told by them", elsewhere));
    return {};
  }
  // In parts, because every dropped role holds a lock until the end of its transaction.
  constexpr std::size_t kAtOnce = 500;
  DetachStep part = all;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.text(i, 1).empty())
      part.sql.push_back(fmt::format("DROP ROLE {}", pg::quote_identifier(rows.text(i, 0))));
    else
      report.kept.push_back(
          fmt::format("role {}: something in {} depends on it", rows.text(i, 0), rows.text(i, 1)));
    if (part.sql.size() < kAtOnce && i + 1 < rows.size()) continue;
    TRY(run_step(connection, options, part));
    all.sql.insert(all.sql.end(), part.sql.begin(), part.sql.end());
    part.sql.clear();
  }
  all.done = !options.dry_run;
  report.steps.push_back(std::move(all));
  return {};
}

}  // namespace

bool DetachReport::blocked() const {
  return std::any_of(steps.begin(), steps.end(),
                     [](const DetachStep& s) { return !s.blocked_by.empty(); });
}

Result<DetachReport> detach_region(pg::Connection& connection, const DetachOptions& options) {
  DetachReport report;
  const auto installed = TRY(connection.query(
      "SELECT pg_catalog.to_regprocedure('domicile_private.undo(oid,boolean)') IS NOT NULL, "
      "pg_catalog.to_regclass('domicile.region') IS NOT NULL, coalesce((SELECT "
      "pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = "
      "'domicile_owner'), '')"));
  if (!installed.boolean(0, 0)) {
    if (installed.boolean(0, 1))
      return fail(
          Code::invalid,
          "this region was installed by an older Domicile; run `domicile region init` first",
          "old_region");
    // The schemas are gone already: an interrupted run, or one that asks for the roles now.
    report.region = std::string(installed.text(0, 2));
    if (report.region.starts_with("domicile region ")) report.region = report.region.substr(16);
    if (report.region.empty())
      return fail(Code::invalid, "there is nothing of Domicile in this database", "no_region");
    if (options.confirm != report.region && !options.dry_run)
      return fail(Code::invalid, fmt::format("write --confirm {} to mean it", report.region),
                  "not_confirmed");
    TRY(roles(connection, options, report));
    return report;
  }
  TRY(check_ground(connection, options, report));
  TRY(publication(connection, options, report));
  TRY(tables(connection, options, report));
  if (report.blocked()) return report;

  auto returned = TRY(settle_temporary_tables(connection, false, options.dry_run));
  DetachStep database{
      .what = "database", .sql = TRY(column(connection, kOtherGrants)), .blocked_by = {}};
  TRY(run_step(connection, options, database));
  database.sql.insert(database.sql.begin(), returned.begin(), returned.end());
  report.steps.push_back(std::move(database));
  if (report.blocked()) return report;

  DetachStep schemas{.what = "schemas", .sql = {}, .blocked_by = {}};
  for (const auto* name : {"domicile_directory", "domicile", "domicile_private"})
    schemas.sql.push_back(fmt::format("DROP SCHEMA IF EXISTS {} CASCADE", name));
  TRY(run_step(connection, options, schemas));
  report.steps.push_back(std::move(schemas));
  if (report.blocked()) return report;
  TRY(roles(connection, options, report));
  return report;
}

}  // namespace domicile::store
