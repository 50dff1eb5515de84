#include "store/dump_read.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/guard_sql.h"

namespace domicile::store {
namespace {

constexpr const char* kSecretTables =
    "('domicile_directory.signing_key', 'domicile_directory.refresh_token', "
    "'domicile_directory.refresh_family', 'domicile_directory.browser_session', "
    "'domicile_directory.authorization_code', 'domicile_directory.failed_sign_in', "
    "'domicile_private.context_key')";

// The guard's policies let domicile_owner read it whole.
constexpr const char* kReadable =
    "EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname IN "
    "('domicile_trusted', 'domicile_part_read'))";

Result<void> closed_tables(pg::Connection& connection) {
  auto rows = TRY(connection.query(fmt::format(R"(
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
      AND c.relrowsecurity AND c.relforcerowsecurity AND n.nspname !~ '^(pg_|domicile(_|$))'
      AND NOT {}
      AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
    ORDER BY 1)",
                                               kReadable)));
  if (rows.size() == 0) return {};
  std::vector<std::string> names;
  for (int i = 0; i < rows.size(); ++i) names.emplace_back(rows.text(i, 0));
  return fail(Code::denied,
              fmt::format("row security hides the rows of {}, also from their owner; classify them "
                          "and run `domicile region init`, leave them out by --table or --schema, "
                          "or dump as a superuser",
                          fmt::join(names, ", ")),
              "closed_tables");
}

}  // namespace

Result<DumpPlan> plan_dump(pg::Connection& connection, const std::vector<std::string>& schemas,
                           const std::vector<std::string>& tables, bool secrets) {
  DumpPlan plan;
  if (schemas.empty() && tables.empty()) TRY(closed_tables(connection));
  const bool part = !schemas.empty() || !tables.empty();
  auto rows = TRY(connection.query(fmt::format(R"(
    SELECT n.nspname, c.relname, n.nspname ~ '^domicile(_|$)',
           (SELECT pg_catalog.string_agg(a.attname, E'\n' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
           CASE WHEN n.nspname = 'domicile_directory' AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname = 'organization' AND NOT a.attisdropped) THEN 'organization'
             ELSE k.key_column END, c.relkind = 'p'
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN domicile.catalog_table k ON k.schema_name = n.nspname AND k.table_name = c.relname
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND ((n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema'
            AND (($1::text[] = '{{}}' AND $2::text[] = '{{}}') OR n.nspname = ANY ($1::text[])
                 OR n.nspname || '.' || c.relname = ANY ($2::text[])))
           OR (NOT $3::bool AND n.nspname ~ '^domicile(_|$)' AND ($4::bool OR n.nspname || '.' || c.relname NOT IN {0})))
    ORDER BY n.nspname ~ '^domicile(_|$)', n.nspname,
             pg_catalog.array_position(ARRAY['user_account', 'client', 'browser_session', 'refresh_family']::text[], c.relname::text) NULLS LAST, c.relname)",
                                               kSecretTables),
                                   {pg::array_literal(schemas), pg::array_literal(tables),
                                    part ? "true" : "false", secrets ? "true" : "false"}));
  for (int i = 0; i < rows.size(); ++i) {
    DumpedTable table{.name = {std::string(rows.text(i, 0)), std::string(rows.text(i, 1))},
                      .columns = rows.lines(i, 3),
                      .key = std::string(rows.text(i, 4)),
                      .partitioned = rows.boolean(i, 5),
                      .of_guard = rows.boolean(i, 2)};
    if (table.of_guard && !is_dumped(table.name)) continue;
    table.file = "data/" + dump_file_name(table.name);
    plan.tables.push_back(std::move(table));
  }
  for (const auto& name : tables) {
    const bool found = std::ranges::any_of(plan.tables, [&](const DumpedTable& t) {
      return t.name.schema + "." + t.name.name == name;
    });
    if (!found) {
      return fail(Code::invalid,
                  fmt::format("--table {}: there is no such table; write schema.table (a partition "
                              "comes with its root)",
                              name));
    }
  }
  if (part)
    plan.left_out.emplace_back("Domicile's own tables, and what --table and --schema do not name");
  if (!secrets && !part)
    plan.left_out.emplace_back("signing keys, context keys and sessions (--with-secrets)");
  plan.left_out.emplace_back("roles, large objects, replication, event triggers");
  return plan;
}

Result<Reader> become_reader(pg::Connection& connection, const std::vector<DumpedTable>& tables) {
  Reader reader;
  auto super =
      TRY(connection.query("SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE "
                           "r.rolname = current_user"));
  reader.superuser = super.boolean(0, 0);
  if (reader.superuser) return reader;
  auto standby = TRY(connection.query("SELECT pg_catalog.pg_is_in_recovery()"));
  if (standby.boolean(0, 0)) {
    return fail(Code::invalid,
                "this server is a standby, on which the installer cannot give itself the right to "
                "read; dump from the primary, or as a superuser",
                "standby");
  }
  auto rows = TRY(connection.query(fmt::format(
      "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
      "n.oid = c.relnamespace WHERE c.relrowsecurity AND {}",
      kReadable)));
  for (int i = 0; i < rows.size(); ++i)
    reader.guarded.insert({std::string(rows.text(i, 0)), std::string(rows.text(i, 1))});
  std::vector<std::string> names;
  std::set<std::string> schemas;
  for (const auto& table : tables) {
    if (table.of_guard || !reader.guarded.contains(table.name)) continue;
    names.push_back(quoted(table.name));
    schemas.insert(pg::quote_identifier(table.name.schema));
  }
  if (!names.empty()) {
    TRY(connection.script(
        fmt::format("GRANT USAGE ON SCHEMA {} TO domicile_owner; GRANT SELECT ON {} "
                    "TO domicile_owner",
                    fmt::join(schemas, ", "), fmt::join(names, ", "))));
  }
  return reader;
}

Result<void> read_as(pg::Connection& connection, const Reader& reader, const DumpedTable& table) {
  if (reader.superuser) return {};
  if (table.of_guard || reader.guarded.contains(table.name))
    return connection.script("SET LOCAL row_security = on; SET LOCAL ROLE domicile_owner");
  return connection.script("SET LOCAL ROLE NONE; SET LOCAL row_security = off");
}

Result<FormerRowSecurity> former_row_security(pg::Connection& connection) {
  FormerRowSecurity former;
  auto rows = TRY(connection.query(
      "SELECT f.schema_name, f.table_name, f.row_security, f.forced FROM domicile.former f JOIN "
      "pg_catalog.pg_namespace n ON n.nspname = f.schema_name JOIN pg_catalog.pg_class c ON "
      "c.relnamespace = n.oid AND c.relname = f.table_name JOIN domicile_private.members() m ON "
      "m.rel = c.oid"));
  for (int i = 0; i < rows.size(); ++i)
    former[fmt::format("{}.{}", rows.text(i, 0), rows.text(i, 1))] = {rows.boolean(i, 2),
                                                                      rows.boolean(i, 3)};
  return former;
}

bool is_outbox(const catalog::QualifiedName& name) {
  return name.schema == "domicile_directory" && name.name == "outbox";
}

// A table that others inherit from is read without them: they are tables of their own.
std::string from_of(const DumpedTable& table) {
  const std::string from = (table.partitioned ? "" : "ONLY ") + quoted(table.name);
  if (!is_outbox(table.name)) return from;
  // The right to read that this transaction grants itself is noted there, and will never have been.
  return from +
         " WHERE xmin::text IS DISTINCT FROM "
         "pg_catalog.pg_current_xact_id_if_assigned()::xid::text";
}

std::string quoted_columns(const DumpedTable& table) {
  std::vector<std::string> names;
  for (const auto& column : table.columns) names.push_back(pg::quote_identifier(column));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string source_of(const DumpedTable& table) {
  return fmt::format("SELECT {} FROM {}", quoted_columns(table), from_of(table));
}

Result<void> count_rows(pg::Connection& connection, DumpedTable& table) {
  table.organizations.clear();
  if (table.key.empty()) {
    auto rows = TRY(connection.query(fmt::format("SELECT count(*) FROM {}", from_of(table))));
    table.rows = rows.integer(0, 0);
    return {};
  }
  auto rows = TRY(
      connection.query(fmt::format("SELECT coalesce({0}::text, ''), count(*) FROM {1} GROUP BY {0}",
                                   pg::quote_identifier(table.key), from_of(table))));
  table.rows = 0;
  for (int i = 0; i < rows.size(); ++i) {
    table.organizations[std::string(rows.text(i, 0))] = rows.integer(i, 1);
    table.rows += rows.integer(i, 1);
  }
  return {};
}

}  // namespace domicile::store
