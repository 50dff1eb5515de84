// What administrators change in the directory, each change with its event.
#include "store/directory_pg.h"
#include "store/directory_rows.h"

namespace domicile::store {

struct PgDirectory::Note {
  std::string operation;
  std::string activity;
  std::string organization{};
  std::string acting_organization{};
  std::string subject{};
  std::string permissions{};
  std::string resource{};
  std::string ticket{};
};

namespace {

Result<void> one(const pg::Rows& changed, std::string_view what) {
  if (changed.affected() == 0) return fail(Code::not_found, fmt::format("no such {}", what));
  return {};
}

constexpr std::int64_t kLongestLife = 24 * 3600 + 300;  // of an access token, with the clocks' skew

// Whoever was let in under the old state signs in again, everywhere.
Result<void> end_sessions(pg::Connection& connection, const domain::UserId& user,
                          std::string_view reason, std::int64_t now_s) {
  TRY(connection.query(
      "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2), reason = $3"
      " WHERE user_id = $1 AND revoked_at IS NULL",
      {user.text(), number(now_s), std::string(reason)}));
  TRY(
      connection.query("UPDATE domicile_directory.browser_session SET ended_at = to_timestamp($2)"
                       " WHERE user_id = $1 AND ended_at IS NULL",
                       {user.text(), number(now_s)}));
  return add_revocation(connection, {.kind = Revocation::Kind::user,
                                     .subject = user.text(),
                                     .issued_before = now_s,
                                     .expires_at = now_s + kLongestLife});
}

Result<void> add_uris(pg::Connection& connection, const std::string& client,
                      const std::string& purpose, const std::vector<std::string>& uris) {
  for (const std::string& uri : uris) {
    TRY(
        connection.query("INSERT INTO domicile_directory.client_uri (client_id, purpose, uri)"
                         " VALUES ($1, $2, $3)",
                         {client, purpose, uri}));
  }
  return {};
}

std::string grant_types_of(const ClientAccount& client) {
  std::string out;
  const auto add = [&](bool yes, std::string_view name) {
    if (!yes) return;
    if (!out.empty()) out.push_back(' ');
    out += name;
  };
  add(client.client_credentials, "client_credentials");
  add(client.password, "password");
  add(client.refresh_token, "refresh_token");
  add(client.authorization_code, "authorization_code");
  add(client.token_exchange, "token_exchange");
  return out;
}

}  // namespace

Result<void> PgDirectory::administer(const Administrator& by, const Note& note,
                                     const std::function<Result<void>(pg::Connection&)>& body) {
  return write(by.commit, [&](pg::Connection& connection) -> Result<void> {
    TRY(body(connection));
    TRY(connection.query(
        "INSERT INTO domicile_directory.outbox (operation, activity, organization, "
        "acting_organization,"
        " subject, permissions, resource, ticket, by_operator)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        {note.operation, note.activity, note.organization, note.acting_organization, note.subject,
         note.permissions, note.resource, note.ticket, by.name}));
    return {};
  });
}

Result<void> PgDirectory::add_user(const UserAccount& user, const Administrator& by) {
  const Note note{.operation = "user.create",
                  .activity = "create",
                  .organization = user.organization.text(),
                  .acting_organization = user.organization.text(),
                  .subject = user.id.text(),
                  .permissions = joined<domain::RoleName>(user.roles),
                  .resource = "user:" + user.id.text()};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
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
  const auto rows = TRY(
      read(std::string(kUser) + "WHERE organization = $1 ORDER BY login", {organization.text()}));
  std::vector<UserAccount> users;
  for (int row = 0; row < rows.size(); ++row) users.push_back(user_of(rows, row));
  return users;
}

Result<void> PgDirectory::set_password(const UserAccount& user, std::string_view password_hash,
                                       std::int64_t now_s, const Administrator& by) {
  const Note note{.operation = "user.set_password",
                  .activity = "update",
                  .organization = user.organization.text(),
                  .acting_organization = user.organization.text(),
                  .subject = user.id.text(),
                  .resource = "user:" + user.id.text()};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    TRY(one(TRY(connection.query("UPDATE domicile_directory.user_account SET password_hash = $2,"
                                 " password_changed_at = to_timestamp($3) WHERE id = $1",
                                 {user.id.text(), std::string(password_hash), number(now_s)})),
            "user"));
    return end_sessions(connection, user.id, "password_changed", now_s);
  });
}

Result<void> PgDirectory::set_roles(const UserAccount& user,
                                    std::span<const domain::RoleName> roles,
                                    const Administrator& by) {
  const Note note{.operation = "user.set_roles",
                  .activity = "update",
                  .organization = user.organization.text(),
                  .acting_organization = user.organization.text(),
                  .subject = user.id.text(),
                  .permissions = joined(roles),
                  .resource = "user:" + user.id.text()};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    return one(TRY(connection.query(
                   "UPDATE domicile_directory.user_account SET roles = string_to_array($2, ' ')"
                   " WHERE id = $1",
                   {user.id.text(), joined(roles)})),
               "user");
  });
}

Result<void> PgDirectory::set_active(const UserAccount& user, bool active, std::int64_t now_s,
                                     const Administrator& by) {
  const Note note{.operation = active ? "user.enable" : "user.disable",
                  .activity = active ? "update" : "remove",
                  .organization = user.organization.text(),
                  .acting_organization = user.organization.text(),
                  .subject = user.id.text(),
                  .resource = "user:" + user.id.text()};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    TRY(one(
        TRY(connection.query("UPDATE domicile_directory.user_account SET state = $2 WHERE id = $1",
                             {user.id.text(), active ? "active" : "disabled"})),
        "user"));
    return active ? Result<void>{} : end_sessions(connection, user.id, "user_disabled", now_s);
  });
}

Result<void> PgDirectory::set_organization_role(const domain::OrgKey& organization,
                                                const domain::RoleName& role,
                                                std::span<const domain::Permission> permissions,
                                                const Administrator& by) {
  const Note note{.operation = "role.set",
                  .activity = permissions.empty() ? "remove" : "update",
                  .organization = organization.text(),
                  .acting_organization = organization.text(),
                  .permissions = joined(permissions),
                  .resource = "role:" + role.text()};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
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

Result<void> PgDirectory::add_client(const ClientAccount& client, const Administrator& by) {
  const std::string organization = client.organization ? client.organization->text() : "";
  const Note note{.operation = "client.create",
                  .activity = "create",
                  .organization = organization,
                  .acting_organization = organization,
                  .subject = client.id,
                  .permissions = joined<domain::Permission>(client.permissions),
                  .resource = "client:" + client.id};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "INSERT INTO domicile_directory.client (id, organization, secret_hash, grant_types, "
        "permissions, roles)"
        " VALUES ($1, $2, $3, string_to_array($4, ' '), string_to_array($5, ' '), "
        "string_to_array($6, ' '))",
        {client.id, client.organization ? pg::Param(organization) : std::nullopt,
         client.secret_hash.empty() ? std::nullopt : pg::Param(bytea(client.secret_hash)),
         grant_types_of(client), joined<domain::Permission>(client.permissions),
         joined<domain::RoleName>(client.roles)}));
    TRY(add_uris(connection, client.id, "redirect", client.redirect_uris));
    return add_uris(connection, client.id, "signed_out", client.signed_out_uris);
  });
}

Result<std::vector<ClientAccount>> PgDirectory::clients() {
  const auto rows = TRY(read(std::string(kClient) + "ORDER BY id", {}));
  std::vector<ClientAccount> clients;
  for (int row = 0; row < rows.size(); ++row) clients.push_back(client_of(rows, row));
  return clients;
}

Result<void> PgDirectory::set_client_active(const ClientAccount& client, bool active,
                                            const Administrator& by) {
  const std::string organization = client.organization ? client.organization->text() : "";
  const Note note{.operation = active ? "client.enable" : "client.disable",
                  .activity = active ? "update" : "remove",
                  .organization = organization,
                  .acting_organization = organization,
                  .subject = client.id,
                  .resource = "client:" + client.id};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    return one(TRY(connection.query("UPDATE domicile_directory.client SET state = $2 WHERE id = $1",
                                    {client.id, active ? "active" : "disabled"})),
               "client");
  });
}

Result<void> PgDirectory::add_grant(const AccessGrant& grant, const Administrator& by) {
  const Note note{.operation = "grant.create",
                  .activity = "create",
                  .organization = grant.target.text(),
                  .acting_organization = grant.organization.text(),
                  .subject = grant.user.text(),
                  .permissions = joined<domain::Permission>(grant.permissions),
                  .resource = "grant:" + grant.id,
                  .ticket = grant.ticket};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "INSERT INTO domicile_directory.access_grant"
        " (id, user_id, organization, target, permissions, ticket, granted_by, created_at, "
        "expires_at)"
        " VALUES ($1, $2, $3, $4, string_to_array($5, ' '), $6, $7, to_timestamp($8), "
        "to_timestamp($9))",
        {grant.id, grant.user.text(), grant.organization.text(), grant.target.text(),
         joined<domain::Permission>(grant.permissions), grant.ticket, grant.granted_by,
         number(grant.created_at), number(grant.expires_at)}));
    return {};
  });
}

Result<void> PgDirectory::revoke_grant(std::string_view id, std::int64_t now_s,
                                       const Administrator& by) {
  Note note{
      .operation = "grant.revoke", .activity = "remove", .resource = "grant:" + std::string(id)};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    const auto revoked = TRY(connection.query(
        "UPDATE domicile_directory.access_grant SET revoked_at = to_timestamp($2), revoked_by = $3"
        " WHERE id = $1 AND revoked_at IS NULL"
        " RETURNING user_id, organization, target, array_to_string(permissions, ' '), ticket",
        {std::string(id), number(now_s), by.name}));
    if (revoked.size() == 0)
      return fail(Code::not_found, "no such grant, or it is revoked already");
    note.subject = revoked.text(0, 0);
    note.acting_organization = revoked.text(0, 1);
    note.organization = revoked.text(0, 2);
    note.permissions = revoked.text(0, 3);
    note.ticket = revoked.text(0, 4);
    // The tokens that carry it go now; whoever has a refresh token gets new ones without it.
    return add_revocation(connection, {.kind = Revocation::Kind::grant,
                                       .subject = std::string(id),
                                       .issued_before = now_s,
                                       .expires_at = now_s + kLongestLife});
  });
}

Result<void> PgDirectory::revoke_tokens(const Revocation& revocation,
                                        const domain::OrgKey& organization, std::int64_t now_s,
                                        const Administrator& by) {
  const bool person = revocation.kind == Revocation::Kind::user;
  const Note note{.operation = "token.revoke",
                  .activity = "remove",
                  .organization = organization.text(),
                  .acting_organization = organization.text(),
                  .subject = person ? revocation.subject : "",
                  .resource = person ? "user:" + revocation.subject
                              : revocation.kind == Revocation::Kind::token
                                  ? "token:" + revocation.subject
                                  : "organization:" + revocation.subject};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    if (person)
      return end_sessions(connection, domain::UserId(revocation.subject), "revoked", now_s);
    return add_revocation(connection, revocation);
  });
}

Result<void> PgDirectory::rotate_signing_keys(const KeyRotation& rotation,
                                              const Administrator& by) {
  const Note note{.operation = "key.rotate",
                  .activity = "update",
                  .permissions = rotation.published_until - rotation.takes_over_at > 1
                                     ? "former keys stay published"
                                     : "former keys are revoked",
                  .resource = "signing keys"};
  return administer(by, note, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(kLockSigningKeys));
    TRY(connection.query(
        "DELETE FROM domicile_directory.signing_key WHERE activates_at >= to_timestamp($1)",
        {number(rotation.takes_over_at)}));
    TRY(
        connection.query("UPDATE domicile_directory.signing_key"
                         " SET retires_at = least(retires_at, to_timestamp($1)),"
                         " expires_at = least(expires_at, to_timestamp($2))"
                         " WHERE expires_at > to_timestamp($2) OR retires_at > to_timestamp($1)",
                         {number(rotation.takes_over_at), number(rotation.published_until)}));
    return {};
  });
}

namespace {

// Modes, windows, schema and classes come from triggers: sql/region/0310 and 0510.
domain::EventKind kind_of(std::string_view operation) {
  using domain::EventKind;
  const std::string_view noun = operation.substr(0, operation.find('.'));
  if (noun == "schema") return EventKind::schema_changed;
  if (noun == "key") return EventKind::key_changed;
  for (const std::string_view policy :
       {"region", "maintenance", "reference", "catalog", "finding"}) {
    if (noun == policy) return EventKind::policy_changed;
  }
  return EventKind::grant_changed;
}

}  // namespace

Result<int> PgDirectory::drain_outbox(int most, const Recorder& record) {
  int count = 0;
  TRY(write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    const auto rows =
        TRY(connection.query("SELECT id, (extract(epoch FROM at) * 1000)::bigint, operation, "
                             "activity, organization, acting_organization,"
                             " subject, permissions, resource, ticket, by_operator, by_role FROM "
                             "domicile_directory.outbox"
                             " ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
                             {number(most)}));
    count = rows.size();
    if (count == 0) return {};
    std::vector<domain::Event> events;
    for (int row = 0; row < rows.size(); ++row) {
      domain::Event event;
      event.kind = kind_of(rows.text(row, 2));
      const bool grant = event.kind == domain::EventKind::grant_changed;
      event.outcome = domain::Outcome::allowed;
      event.time = WallTime(std::chrono::milliseconds(rows.integer(row, 1)));
      event.operation = rows.text(row, 2);
      event.activity = rows.text(row, 3) == "create"   ? domain::Activity::create
                       : rows.text(row, 3) == "remove" ? domain::Activity::remove
                                                       : domain::Activity::update;
      event.organization = domain::OrgKey(rows.text(row, 4));
      event.acting_organization = domain::OrgKey(rows.text(row, 5));
      event.actor_role = rows.text(row, 11);
      event.resource = rows.text(row, 8);
      if (grant) event.details.emplace_back("subject", rows.text(row, 6));
      if (grant || !rows.text(row, 7).empty()) {
        event.details.emplace_back(grant ? "permissions" : "scope", rows.text(row, 7));
      }
      event.details.emplace_back("operator", std::string(rows.text(row, 10)));
      if (!rows.text(row, 9).empty()) event.details.emplace_back("ticket", rows.text(row, 9));
      events.push_back(std::move(event));
    }
    TRY(record(std::move(events)));
    for (int row = 0; row < rows.size(); ++row) {
      TRY(connection.query("DELETE FROM domicile_directory.outbox WHERE id = $1",
                           {std::string(rows.text(row, 0))}));
    }
    return {};
  }));
  return count;
}

}  // namespace domicile::store
