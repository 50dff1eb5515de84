#include "store/directory_pg.h"

#include "store/directory_rows.h"

namespace domicile::store {
namespace {

std::vector<std::string> session_settings(const PgDirectory::Options& options) {
  return {fmt::format("SET statement_timeout = {}", options.statement_timeout.count()),
          "SET idle_in_transaction_session_timeout = '30s'"};
}

}  // namespace

const char* const kUser =
    "SELECT id, organization, login, password_hash, array_to_string(roles, ' '), state = 'active',"
    " extract(epoch FROM created_at)::bigint FROM domicile_directory.user_account ";

UserAccount user_of(const pg::Rows& rows, int row) {
  return {.id = domain::UserId(rows.text(row, 0)),
          .organization = domain::OrgKey(rows.text(row, 1)),
          .login = std::string(rows.text(row, 2)),
          .password_hash = std::string(rows.text(row, 3)),
          .roles = split<domain::RoleName>(rows.text(row, 4)),
          .active = rows.boolean(row, 5),
          .created_at = rows.integer(row, 6)};
}

const char* const kClient =
    "SELECT id, organization, encode(secret_hash, 'hex'), 'client_credentials' = ANY (grant_types),"
    " 'password' = ANY (grant_types), 'refresh_token' = ANY (grant_types), "
    "array_to_string(permissions, ' '),"
    " array_to_string(roles, ' '), state = 'active', 'authorization_code' = ANY (grant_types),"
    " (SELECT string_agg(uri, ' ' ORDER BY uri) FROM domicile_directory.client_uri"
    " WHERE client_id = id AND purpose = 'redirect'),"
    " (SELECT string_agg(uri, ' ' ORDER BY uri) FROM domicile_directory.client_uri"
    " WHERE client_id = id AND purpose = 'signed_out'), 'token_exchange' = ANY (grant_types)"
    " FROM domicile_directory.client ";

ClientAccount client_of(const pg::Rows& rows, int row) {
  ClientAccount client;
  client.id = rows.text(row, 0);
  if (!rows.null(row, 1)) client.organization = domain::OrgKey(rows.text(row, 1));
  client.secret_hash = from_hex(rows.text(row, 2)).value_or("");
  client.client_credentials = rows.boolean(row, 3);
  client.password = rows.boolean(row, 4);
  client.refresh_token = rows.boolean(row, 5);
  client.permissions = split<domain::Permission>(rows.text(row, 6));
  client.roles = split<domain::RoleName>(rows.text(row, 7));
  client.active = rows.boolean(row, 8);
  client.authorization_code = rows.boolean(row, 9);
  client.redirect_uris = split<std::string>(rows.text(row, 10));
  client.signed_out_uris = split<std::string>(rows.text(row, 11));
  client.token_exchange = rows.boolean(row, 12);
  return client;
}

Error without_row(Error error) {
  if (error.reason == "42704") {  // the organization has no role here: homed() found nobody
    return {Code::denied, "the organization is not homed in this region", error.reason};
  }
  if (!error.reason.starts_with("23")) return error;
  if (error.message.starts_with(
          "domicile:")) {  // the guard's own words: organization and remedy, no row
    error.code = Code::denied;
    return error;
  }
  error.message = error.reason == "23505"   ? "it exists already"
                  : error.reason == "23503" ? "it names a user or client that does not exist"
                                            : "a rule of the directory refuses it";
  return error;
}

PgDirectory::PgDirectory(Options options)
    : pool_({.dsn = options.dsn,
             .connections = options.connections,
             .wait = options.wait,
             .on_open = session_settings(options)}) {}

Result<pg::Rows> PgDirectory::read(const std::string& sql,
                                   std::initializer_list<pg::Param> params) {
  std::optional<pg::Rows> rows;
  auto done = pool_.run(PgPool::Retry::once, [&](pg::Connection& connection) -> Result<void> {
    rows = TRY(connection.query(sql, params));
    return {};
  });
  if (!done) return std::unexpected(without_row(std::move(done).error()));
  return *rows;
}

Result<void> PgDirectory::write(Commit commit,
                                const std::function<Result<void>(pg::Connection&)>& body) {
  auto done = pool_.run(PgPool::Retry::never, [&](pg::Connection& connection) -> Result<void> {
    if (commit == Commit::yes) return connection.transaction([&] { return body(connection); });
    TRY(connection.script("BEGIN"));
    Result<void> tried = body(connection);
    (void)connection.script("ROLLBACK");
    return tried;
  });
  if (!done) return std::unexpected(without_row(std::move(done).error()));
  return {};
}

Result<std::optional<UserAccount>> PgDirectory::find_user(const domain::OrgKey& organization,
                                                          std::string_view login) {
  const auto rows = TRY(read(std::string(kUser) + "WHERE organization = $1 AND login = $2",
                             {organization.text(), std::string(login)}));
  if (rows.size() == 0) return std::nullopt;
  return user_of(rows, 0);
}

Result<std::optional<UserAccount>> PgDirectory::find_user(const domain::UserId& id) {
  const auto rows = TRY(read(std::string(kUser) + "WHERE id = $1", {id.text()}));
  if (rows.size() == 0) return std::nullopt;
  return user_of(rows, 0);
}

Result<std::optional<ClientAccount>> PgDirectory::find_client(std::string_view id) {
  const auto rows = TRY(read(std::string(kClient) + "WHERE id = $1", {std::string(id)}));
  if (rows.size() == 0) return std::nullopt;
  return client_of(rows, 0);
}

Result<OrganizationRoles> PgDirectory::roles_of(const domain::OrgKey& organization) {
  const auto rows =
      TRY(read("SELECT role, permission FROM domicile_directory.role_permission"
               " WHERE organization = $1 ORDER BY 1, 2",
               {organization.text()}));
  OrganizationRoles roles;
  for (int row = 0; row < rows.size(); ++row) {
    roles[domain::RoleName(rows.text(row, 0))].emplace_back(rows.text(row, 1));
  }
  return roles;
}

Result<bool> PgDirectory::homed(const domain::OrgKey& organization) {
  const auto rows =
      TRY(read("SELECT 1 FROM domicile.organization WHERE key = $1 AND state = 'active'"
               " AND domicile.region_open()",
               {organization.text()}));
  return rows.size() == 1;
}

Result<domain::RegionId> PgDirectory::region() {
  const auto rows = TRY(read("SELECT region FROM domicile.region", {}));
  if (rows.size() == 0)
    return fail(Code::invalid, "this database is no region yet: run `domicile region init`");
  return domain::parse_region_id(rows.text(0, 0));
}

}  // namespace domicile::store
