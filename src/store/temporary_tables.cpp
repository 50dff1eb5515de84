#include "store/temporary_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace domicile::store {
namespace {

Result<bool> there(pg::Connection& connection, const std::string& relation) {
  auto rows = TRY(connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {relation}));
  return rows.boolean(0, 0);
}

Result<std::vector<std::string>> give_back(pg::Connection& connection, bool dry_run) {
  std::vector<std::string> sql;
  if (!TRY(there(connection, "domicile.former_database"))) return sql;
  auto rows = TRY(connection.query(
      "SELECT s FROM domicile.former_database f, unnest(f.statements) WITH ORDINALITY u (s, n) "
      "ORDER BY n"));
  for (int i = 0; i < rows.size(); ++i) sql.emplace_back(rows.text(i, 0));
  if (sql.empty() || dry_run) return sql;
  TRY(connection.transaction([&]() -> Result<void> {
    TRY(connection.script("SELECT domicile_private.begin_upgrade()"));
    for (const auto& statement : sql) TRY(connection.script(statement));
    return connection.script("DELETE FROM domicile.former_database");
  }));
  return sql;
}

// A database that was set up before the applier of reference data needed them.
Result<std::vector<std::string>> give_to_applier(pg::Connection& connection, bool dry_run) {
  auto rows = TRY(connection.query(
      "SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datname = "
      "pg_catalog.current_database() AND pg_catalog.pg_has_role(current_user, d.datdba, 'usage') "
      "AND pg_catalog.to_regrole('domicile_reference') IS NOT NULL AND NOT EXISTS (SELECT FROM "
      "pg_catalog.aclexplode(d.datacl) a WHERE a.privilege_type = 'TEMPORARY' AND a.grantee = "
      "pg_catalog.to_regrole('domicile_reference'))"));
  if (rows.size() == 0) return std::vector<std::string>{};
  const std::string on = " TEMPORARY ON DATABASE " + pg::quote_identifier(rows.text(0, 0));
  const std::string grant = "GRANT" + on + " TO domicile_reference";
  if (dry_run) return std::vector{grant};
  TRY(connection.transaction([&]() -> Result<void> {
    TRY(connection.query(
        "INSERT INTO domicile.former_database AS f (statements) VALUES (ARRAY[$1]) ON CONFLICT "
        "(one) DO UPDATE SET statements = f.statements || excluded.statements",
        {"REVOKE" + on + " FROM domicile_reference"}));
    return connection.script(grant);
  }));
  return std::vector{grant};
}

}  // namespace

Result<bool> any_enforced(pg::Connection& connection) {
  if (!TRY(there(connection, "domicile.catalog_table"))) return false;
  auto rows = TRY(connection.query(
      "SELECT EXISTS (SELECT FROM domicile.catalog_table WHERE mode = 'enforce' AND applied_at IS "
      "NOT NULL)"));
  return rows.boolean(0, 0);
}

Result<std::vector<std::string>> settle_temporary_tables(pg::Connection& connection, bool enforced,
                                                         bool dry_run) {
  if (!enforced) return give_back(connection, dry_run);
  auto rows =
      TRY(connection.query("SELECT d.datname, pg_catalog.pg_has_role(current_user, d.datdba, "
                           "'usage') FROM pg_catalog.pg_database d "
                           "WHERE d.datname = pg_catalog.current_database() AND EXISTS (SELECT "
                           "FROM pg_catalog.aclexplode(coalesce(d.datacl, "
                           "pg_catalog.acldefault('d', d.datdba))) a WHERE a.grantee = 0 AND "
                           "a.privilege_type = 'TEMPORARY')"));
  if (rows.size() == 0) return give_to_applier(connection, dry_run);
  if (!rows.boolean(0, 1)) return std::vector<std::string>{};
  const std::string database = pg::quote_identifier(rows.text(0, 0));
  std::vector<std::string> keepers{"domicile_tenant", "domicile_reference"};
  if (!dry_run) {  // the tables' owners run migrations, which may need them
    const auto owners = TRY(connection.query(
        "SELECT DISTINCT pg_catalog.quote_ident(k.owner) FROM domicile.catalog_table k "
        "WHERE k.owner IS NOT NULL AND k.mode <> 'off' AND NOT EXISTS (SELECT FROM "
        "pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = "
        "current_database() AND a.privilege_type = 'TEMPORARY' AND a.grantee = "
        "pg_catalog.to_regrole(pg_catalog.quote_ident(k.owner)))"));
    for (int i = 0; i < owners.size(); ++i) keepers.emplace_back(owners.text(i, 0));
  }
  const std::string to = fmt::format("{}", fmt::join(keepers, ", "));
  std::vector<std::string> sql{fmt::format("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", database),
                               fmt::format("GRANT TEMPORARY ON DATABASE {} TO {}", database, to)};
  if (dry_run) return sql;
  TRY(connection.transaction([&]() -> Result<void> {
    TRY(connection.query(
        "INSERT INTO domicile.former_database (statements) VALUES (ARRAY[$1, $2]) ON CONFLICT DO "
        "NOTHING",
        {fmt::format("GRANT TEMPORARY ON DATABASE {} TO PUBLIC", database),
         fmt::format("REVOKE TEMPORARY ON DATABASE {} FROM {}", database, to)}));
    for (const auto& statement : sql) TRY(connection.script(statement));
    return {};
  }));
  return sql;
}

}  // namespace domicile::store
