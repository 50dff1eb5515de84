// Refresh tokens and signing keys of the directory.
#include "store/directory_pg.h"
#include "store/directory_rows.h"

namespace domicile::store {
namespace {

const std::string kLookup =
    "SELECT f.id, f.user_id, f.client_id, f.organization, array_to_string(f.scope, ' '),"
    " extract(epoch FROM f.created_at)::bigint, extract(epoch FROM f.expires_at)::bigint,"
    " f.revoked_at IS NOT NULL, t.used_at IS NOT NULL,"
    " t.expires_at <= to_timestamp($2) OR f.expires_at <= to_timestamp($2),"
    " coalesce(encode(f.session, 'hex'), '')"
    " FROM domicile_directory.refresh_token t JOIN domicile_directory.refresh_family f ON f.id = "
    "t.family"
    " WHERE t.hash = $1 ";

RefreshLookup lookup_of(const pg::Rows& rows) {
  RefreshLookup found;
  if (rows.size() == 0) return found;
  found.family = {.id = std::string(rows.text(0, 0)),
                  .user = domain::UserId(rows.text(0, 1)),
                  .client_id = std::string(rows.text(0, 2)),
                  .organization = domain::OrgKey(rows.text(0, 3)),
                  .scope = split<domain::Permission>(rows.text(0, 4)),
                  .created_at = rows.integer(0, 5),
                  .expires_at = rows.integer(0, 6),
                  .session = from_hex(rows.text(0, 10)).value_or("")};
  found.state = rows.boolean(0, 7)   ? RefreshState::revoked
                : rows.boolean(0, 8) ? RefreshState::reused
                : rows.boolean(0, 9) ? RefreshState::expired
                                     : RefreshState::live;
  return found;
}

Result<std::vector<SealedKey>> load_keys(pg::Connection& connection) {
  const auto rows = TRY(connection.query(
      "SELECT kid, algorithm, encode(sealed, 'hex'), extract(epoch FROM created_at)::bigint,"
      " extract(epoch FROM activates_at)::bigint, extract(epoch FROM retires_at)::bigint,"
      " extract(epoch FROM expires_at)::bigint FROM domicile_directory.signing_key ORDER BY "
      "activates_at, kid"));
  std::vector<SealedKey> keys;
  for (int row = 0; row < rows.size(); ++row) {
    keys.push_back({.kid = std::string(rows.text(row, 0)),
                    .algorithm = std::string(rows.text(row, 1)),
                    .sealed = from_hex(rows.text(row, 2)).value_or(""),
                    .created_at = rows.integer(row, 3),
                    .activates_at = rows.integer(row, 4),
                    .retires_at = rows.integer(row, 5),
                    .expires_at = rows.integer(row, 6)});
  }
  return keys;
}

Result<void> insert_token(pg::Connection& connection, std::string_view family,
                          const RefreshToken& token) {
  TRY(
      connection.query("INSERT INTO domicile_directory.refresh_token (hash, family, expires_at)"
                       " VALUES ($1, $2, to_timestamp($3))",
                       {bytea(token.hash), std::string(family), number(token.expires_at)}));
  return {};
}

}  // namespace

Result<void> insert_family(pg::Connection& connection, const RefreshFamily& family,
                           const RefreshToken& first) {
  // Families of the past go when new ones come: the table stays as large as what is in use.
  TRY(
      connection.query("DELETE FROM domicile_directory.refresh_family WHERE id IN ("
                       " SELECT id FROM domicile_directory.refresh_family"
                       " WHERE expires_at < to_timestamp($1) LIMIT 20 FOR UPDATE SKIP LOCKED)",
                       {number(family.created_at)}));
  TRY(connection.query(
      "INSERT INTO domicile_directory.refresh_family"
      " (id, user_id, client_id, organization, scope, created_at, expires_at, session) VALUES"
      " ($1, $2, $3, $4, string_to_array($5, ' '), to_timestamp($6), to_timestamp($7), $8)",
      {family.id, family.user.text(), family.client_id, family.organization.text(),
       joined<domain::Permission>(family.scope), number(family.created_at),
       number(family.expires_at),
       family.session.empty() ? std::nullopt : pg::Param(bytea(family.session))}));
  if (first.hash.empty()) return {};
  return insert_token(connection, family.id, first);
}

Result<void> PgDirectory::start_family(const RefreshFamily& family, const RefreshToken& first) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    return insert_family(connection, family, first);
  });
}

Result<RefreshLookup> PgDirectory::find_refresh(std::string_view hash, std::int64_t now_s) {
  return lookup_of(TRY(read(kLookup, {bytea(hash), number(now_s)})));
}

Result<RefreshLookup> PgDirectory::rotate_refresh(
    std::string_view hash, const RefreshToken& next, std::int64_t now_s,
    const std::function<Result<void>()>& before_commit) {
  RefreshLookup found;
  TRY(write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    found = lookup_of(
        TRY(connection.query(kLookup + "FOR UPDATE OF f, t", {bytea(hash), number(now_s)})));
    if (found.state == RefreshState::reused) {
      // Two hold the same token, and one of them stole it: nobody goes on.
      TRY(connection.query(
          "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2),"
          " reason = 'reuse' WHERE id = $1",
          {found.family.id, number(now_s)}));
      return {};
    }
    if (found.state != RefreshState::live) return {};
    TRY(connection.query(
        "UPDATE domicile_directory.refresh_token SET used_at = to_timestamp($2) WHERE hash = $1",
        {bytea(hash), number(now_s)}));
    TRY(insert_token(connection, found.family.id, next));
    return before_commit();
  }));
  return found;
}

Result<void> PgDirectory::revoke_refresh(std::string_view hash, std::string_view reason,
                                         std::int64_t now_s) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2), reason = $3"
        " WHERE revoked_at IS NULL"
        " AND id = (SELECT family FROM domicile_directory.refresh_token WHERE hash = $1)",
        {bytea(hash), number(now_s), std::string(reason)}));
    return {};
  });
}

Result<void> PgDirectory::revoke_user_families(const domain::UserId& user, std::string_view reason,
                                               std::int64_t now_s) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(
        "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2), reason = $3"
        " WHERE revoked_at IS NULL AND user_id = $1",
        {user.text(), number(now_s), std::string(reason)}));
    return {};
  });
}

Result<std::vector<SealedKey>> PgDirectory::signing_keys() {
  std::vector<SealedKey> keys;
  TRY(pool_.run(PgPool::Retry::once, [&](pg::Connection& connection) -> Result<void> {
    keys = TRY(load_keys(connection));
    return {};
  }));
  return keys;
}

Result<std::vector<SealedKey>> PgDirectory::renew_signing_keys(std::int64_t now_s,
                                                               const KeyPlan& plan) {
  std::vector<SealedKey> keys;
  TRY(write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(kLockSigningKeys));
    TRY(connection.query(
        "DELETE FROM domicile_directory.signing_key WHERE expires_at <= to_timestamp($1)",
        {number(now_s)}));
    for (const SealedKey& key : TRY(plan(TRY(load_keys(connection))))) {
      TRY(connection.query(
          "INSERT INTO domicile_directory.signing_key (kid, algorithm, sealed, created_at, "
          "activates_at, retires_at,"
          " expires_at) VALUES ($1, $2, $3, to_timestamp($4), to_timestamp($5), to_timestamp($6), "
          "to_timestamp($7))",
          {key.kid, key.algorithm, bytea(key.sealed), number(key.created_at),
           number(key.activates_at), number(key.retires_at), number(key.expires_at)}));
    }
    keys = TRY(load_keys(connection));
    return {};
  }));
  return keys;
}

}  // namespace domicile::store
