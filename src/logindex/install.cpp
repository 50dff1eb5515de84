#include "logindex/install.h"

#include <fmt/format.h>

#include "store/migrations.h"

namespace domicile::logindex {
namespace {

using pg::quote_identifier;
using pg::quote_literal;

Result<bool> has_role(pg::Connection& admin, const std::string& name) {
  const auto rows = TRY(admin.query("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", {name}));
  return rows.size() > 0;
}

Result<void> ensure_group(pg::Connection& admin, const std::string& name) {
  if (TRY(has_role(admin, name))) return {};
  return admin.script(fmt::format("CREATE ROLE {} NOLOGIN", quote_identifier(name)));
}

// Passwords stand in the statement: the server must not write it into its log. Only superusers may say so.
Result<void> without_statement_log(pg::Connection& admin) {
  TRY(admin.script("SAVEPOINT quiet"));
  if (admin.script("SET LOCAL log_statement = 'none'")) return {};
  return admin.script("ROLLBACK TO SAVEPOINT quiet");
}

Result<void> ensure_login(pg::Connection& admin, const std::string& name, const Secret& password) {
  const bool there = TRY(has_role(admin, name));
  if (there && password.empty()) return {};
  return admin.transaction([&]() -> Result<void> {
    TRY(without_statement_log(admin));
    return admin.script(fmt::format("{} ROLE {} LOGIN PASSWORD {}", there ? "ALTER" : "CREATE",
                                    quote_identifier(name), quote_literal(password.reveal())));
  });
}

}  // namespace

std::string loader_login(const std::string& database) { return database + "_loader"; }
std::string reader_login(const std::string& database) { return database + "_reader"; }

Result<void> create_database(pg::Connection& admin, const InstallOptions& options) {
  TRY(ensure_group(admin, kReaderRole));
  TRY(ensure_group(admin, kOrganizationRole));
  const std::string loader = loader_login(options.database);
  const std::string reader = reader_login(options.database);
  TRY(ensure_login(admin, loader, options.loader_password));
  TRY(ensure_login(admin, reader, options.reader_password));
  TRY(admin.script(fmt::format(
      "GRANT {0} TO {1}; ALTER ROLE {1} SET default_transaction_read_only = on; ALTER ROLE {1} SET "
      "statement_timeout = '60s'; ALTER ROLE {1} SET search_path = domicile_index, pg_catalog",
      kReaderRole, quote_identifier(reader))));
  const auto there =
      TRY(admin.query("SELECT FROM pg_catalog.pg_database WHERE datname = $1", {options.database}));
  if (there.size() == 0) {
    // A superuser may give a database away; others must belong to whom they give it.
    const auto super =
        TRY(admin.query("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"));
    if (!super.boolean(0, 0)) {
      TRY(admin.script(fmt::format("GRANT {} TO CURRENT_USER", quote_identifier(loader))));
    }
    TRY(admin.script(fmt::format("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'",
                                 quote_identifier(options.database), quote_identifier(loader))));
  }
  // TEMPORARY too: whoever cannot make a table cannot fill the disk with one.
  return admin.script(fmt::format(
      "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}, {2}",
      quote_identifier(options.database), kReaderRole, kOrganizationRole));
}

Result<int> migrate_index(pg::Connection& loader) {
  store::MigrationOptions options;
  options.set = "index";
  options.schema = "domicile_index";
  options.values = {{"reader", kReaderRole}, {"organization", kOrganizationRole}};
  return TRY(store::migrate(loader, options)).applied;
}

Result<void> grant_organization(pg::Connection& admin, const std::string& login,
                                const std::string& organization, const Secret& password) {
  if (TRY(has_role(admin, login))) {
    return fail(Code::conflict,
                fmt::format("the role {} is there already; name a new login: an organization's "
                            "login may do nothing else",
                            login));
  }
  return admin.transaction([&]() -> Result<void> {
    TRY(without_statement_log(admin));
    TRY(admin.script(fmt::format(
        "CREATE ROLE {0} LOGIN CONNECTION LIMIT 4 PASSWORD {1}; GRANT {2} TO {0}; ALTER ROLE {0} "
        "SET default_transaction_read_only = on; ALTER ROLE {0} SET statement_timeout = '30s'; "
        "ALTER ROLE {0} SET search_path = domicile_index, pg_catalog",
        quote_identifier(login), quote_literal(password.reveal()), kOrganizationRole)));
    TRY(admin.query("INSERT INTO domicile_index.member (login, organization) VALUES ($1, $2)",
                    {login, organization}));
    return {};
  });
}

Result<void> revoke_organization(pg::Connection& admin, const std::string& login) {
  return admin.transaction([&]() -> Result<void> {
    const auto gone =
        TRY(admin.query("DELETE FROM domicile_index.member WHERE login = $1 RETURNING 1", {login}));
    if (gone.size() == 0) {
      return fail(Code::not_found,
                  fmt::format("{} is no organization's login of this index", login));
    }
    return admin.script(fmt::format("DROP ROLE {}", quote_identifier(login)));
  });
}

}  // namespace domicile::logindex
