#include "store/directory_pg.h"

#include "store/directory_rows.h"

namespace domicile::store {
namespace {

const std::string kUser =
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

const std::string kClient =
    "SELECT id, organization, encode(secret_hash, 'hex'), 'client_credentials' = ANY (grant_types),"
    " 'password' = ANY (grant_types), 'refresh_token' = ANY (grant_types), "
    "array_to_string(permissions, ' '),"
    " array_to_string(roles, ' '), state = 'active' FROM domicile_directory.client ";

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
  return client;
}

std::vector<std::string> session_settings(const PgDirectory::Options& options) {
  return {fmt::format("SET statement_timeout = {}", options.statement_timeout.count()),
          "SET idle_in_transaction_session_timeout = '30s'"};
}

}  // namespace

Error without_row(Error error) {
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

Result<void> PgDirectory::change_one(Commit commit, std::string_view what, const std::string& sql,
                                     std::initializer_list<pg::Param> params) {
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    if (TRY(connection.query(sql, params)).affected() == 0) {
      return fail(Code::not_found, fmt::format("no such {}", what));
    }
    return {};
  });
}

Result<std::optional<UserAccount>> PgDirectory::find_user(const domain::OrgKey& organization,
                                                          std::string_view login) {
  const auto rows = TRY(read(kUser + "WHERE organization = $1 AND login = $2",
                             {organization.text(), std::string(login)}));
  if (rows.size() == 0) return std::nullopt;
  return user_of(rows, 0);
}

Result<std::optional<UserAccount>> PgDirectory::find_user(const domain::UserId& id) {
  const auto rows = TRY(read(kUser + "WHERE id = $1", {id.text()}));
  if (rows.size() == 0) return std::nullopt;
  return user_of(rows, 0);
}

Result<std::optional<ClientAccount>> PgDirectory::find_client(std::string_view id) {
  const auto rows = TRY(read(kClient + "WHERE id = $1", {std::string(id)}));
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

Result<void> PgDirectory::add_user(const UserAccount& user, Commit commit) {
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    TRY(
        connection.query("INSERT INTO domicile_directory.user_account (id, organization, login, "
                         "password_hash, roles)"
                         " VALUES ($1, $2, $3, $4, string_to_array($5, ' '))",
                         {user.id.text(), user.organization.text(), user.login, user.password_hash,
                          joined<domain::RoleName>(user.roles)}));
    return {};
  });
}

Result<std::vector<UserAccount>> PgDirectory::users_of(const domain::OrgKey& organization) {
  const auto rows =
      TRY(read(kUser + "WHERE organization = $1 ORDER BY login", {organization.text()}));
  std::vector<UserAccount> users;
  for (int row = 0; row < rows.size(); ++row) users.push_back(user_of(rows, row));
  return users;
}

Result<void> PgDirectory::set_password(const domain::UserId& id, std::string_view password_hash,
                                       std::int64_t now_s, Commit commit) {
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    const auto changed =
        TRY(connection.query("UPDATE domicile_directory.user_account SET password_hash = $2, "
                             "password_changed_at = to_timestamp($3)"
                             " WHERE id = $1",
                             {id.text(), std::string(password_hash), number(now_s)}));
    if (changed.affected() == 0) return fail(Code::not_found, "no such user");
    // Whoever knew the old password may hold refresh tokens.
    TRY(connection.query(
        "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2),"
        " reason = 'password_changed' WHERE user_id = $1 AND revoked_at IS NULL",
        {id.text(), number(now_s)}));
    return {};
  });
}

Result<void> PgDirectory::set_roles(const domain::UserId& id,
                                    std::span<const domain::RoleName> roles, Commit commit) {
  return change_one(
      commit, "user",
      "UPDATE domicile_directory.user_account SET roles = string_to_array($2, ' ') WHERE id = $1",
      {id.text(), joined(roles)});
}

Result<void> PgDirectory::set_active(const domain::UserId& id, bool active, std::int64_t now_s,
                                     Commit commit) {
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    const auto changed =
        TRY(connection.query("UPDATE domicile_directory.user_account SET state = $2 WHERE id = $1",
                             {id.text(), active ? "active" : "disabled"}));
    if (changed.affected() == 0) return fail(Code::not_found, "no such user");
    if (!active) {
      TRY(connection.query(
          "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2),"
          " reason = 'user_disabled' WHERE user_id = $1 AND revoked_at IS NULL",
          {id.text(), number(now_s)}));
    }
    return {};
  });
}

Result<void> PgDirectory::set_organization_role(const domain::OrgKey& organization,
                                                const domain::RoleName& role,
                                                std::span<const domain::Permission> permissions,
                                                Commit commit) {
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "DELETE FROM domicile_directory.role_permission WHERE organization = $1 AND role = $2",
        {organization.text(), role.text()}));
    TRY(connection.query(
        "INSERT INTO domicile_directory.role_permission (organization, role, permission)"
        " SELECT $1, $2, p FROM unnest(string_to_array($3, ' ')) AS p",
        {organization.text(), role.text(), joined(permissions)}));
    return {};
  });
}

Result<void> PgDirectory::add_client(const ClientAccount& client, Commit commit) {
  std::string grant_types;
  const auto add = [&](bool yes, std::string_view name) {
    if (!yes) return;
    if (!grant_types.empty()) grant_types.push_back(' ');
    grant_types += name;
  };
  add(client.client_credentials, "client_credentials");
  add(client.password, "password");
  add(client.refresh_token, "refresh_token");
  const pg::Param organization =
      client.organization ? pg::Param(client.organization->text()) : std::nullopt;
  const pg::Param secret =
      client.secret_hash.empty() ? std::nullopt : pg::Param(bytea(client.secret_hash));
  return write(commit, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "INSERT INTO domicile_directory.client (id, organization, secret_hash, grant_types, "
        "permissions, roles)"
        " VALUES ($1, $2, $3, string_to_array($4, ' '), string_to_array($5, ' '), "
        "string_to_array($6, ' '))",
        {client.id, organization, secret, grant_types,
         joined<domain::Permission>(client.permissions), joined<domain::RoleName>(client.roles)}));
    return {};
  });
}

Result<std::vector<ClientAccount>> PgDirectory::clients() {
  const auto rows = TRY(read(kClient + "ORDER BY id", {}));
  std::vector<ClientAccount> clients;
  for (int row = 0; row < rows.size(); ++row) clients.push_back(client_of(rows, row));
  return clients;
}

Result<void> PgDirectory::set_client_active(std::string_view id, bool active, Commit commit) {
  return change_one(commit, "client",
                    "UPDATE domicile_directory.client SET state = $2 WHERE id = $1",
                    {std::string(id), active ? "active" : "disabled"});
}

}  // namespace domicile::store
