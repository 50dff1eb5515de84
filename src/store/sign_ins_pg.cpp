// Sessions, codes and revocations of the directory.
#include "store/directory_pg.h"
#include "store/directory_rows.h"

namespace domicile::store {
namespace {

constexpr const char* kForgetCodes =
    "DELETE FROM domicile_directory.authorization_code WHERE hash IN ("
    " SELECT hash FROM domicile_directory.authorization_code"
    " WHERE expires_at < to_timestamp($1) LIMIT 20 FOR UPDATE SKIP LOCKED)";
constexpr const char* kForgetSessions =
    "DELETE FROM domicile_directory.browser_session WHERE hash IN ("
    " SELECT hash FROM domicile_directory.browser_session"
    " WHERE expires_at < to_timestamp($1) LIMIT 20 FOR UPDATE SKIP LOCKED)";
constexpr const char* kForgetRevocations =
    "DELETE FROM domicile_directory.revocation WHERE (kind, subject) IN ("
    " SELECT kind, subject FROM domicile_directory.revocation"
    " WHERE expires_at < to_timestamp($1) LIMIT 20 FOR UPDATE SKIP LOCKED)";

const std::string kCode =
    "SELECT client_id, redirect_uri, challenge, user_id, organization, array_to_string(scope, ' '),"
    " openid, nonce, encode(session, 'hex'), extract(epoch FROM signed_in_at)::bigint,"
    " extract(epoch FROM expires_at)::bigint, used_at IS NOT NULL,"
    " coalesce(family, ''), coalesce(token_id, '')"
    " FROM domicile_directory.authorization_code WHERE hash = $1 ";

CodeLookup code_of(const pg::Rows& rows, std::string_view hash, std::int64_t now_s) {
  CodeLookup found;
  if (rows.size() == 0) return found;
  found.code = {.hash = std::string(hash),
                .client_id = std::string(rows.text(0, 0)),
                .redirect_uri = std::string(rows.text(0, 1)),
                .challenge = std::string(rows.text(0, 2)),
                .user = domain::UserId(rows.text(0, 3)),
                .organization = domain::OrgKey(rows.text(0, 4)),
                .scope = split<domain::Permission>(rows.text(0, 5)),
                .openid = rows.boolean(0, 6),
                .nonce = std::string(rows.text(0, 7)),
                .session = from_hex(rows.text(0, 8)).value_or(""),
                .signed_in_at = rows.integer(0, 9),
                .expires_at = rows.integer(0, 10)};
  found.state = rows.boolean(0, 11)              ? RefreshState::reused
                : found.code.expires_at <= now_s ? RefreshState::expired
                                                 : RefreshState::live;
  return found;
}

std::string_view name_of(Revocation::Kind kind) {
  switch (kind) {
    case Revocation::Kind::token: return "token";
    case Revocation::Kind::session: return "session";
    case Revocation::Kind::grant: return "grant";
    case Revocation::Kind::user: return "user";
    case Revocation::Kind::organization: return "organization";
  }
  return "token";
}

// Whoever redeems a code that was redeemed before may be the thief, or the victim.
Result<void> end_redemption(pg::Connection& connection, const pg::Rows& code, std::int64_t now_s) {
  TRY(connection.query(
      "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2), reason = 'reuse'"
      " WHERE id = $1 AND revoked_at IS NULL",
      {std::string(code.text(0, 12)), number(now_s)}));
  constexpr std::int64_t kLongestLife = 24 * 3600;  // of an access token
  const auto call_back = [&](Revocation::Kind kind, std::string subject) -> Result<void> {
    if (subject.empty()) return {};
    return add_revocation(connection, {.kind = kind,
                                       .subject = std::move(subject),
                                       .issued_before = now_s,
                                       .expires_at = now_s + kLongestLife});
  };
  if (!code.text(0, 12).empty()) {  // those that were refreshed since as well
    TRY(call_back(Revocation::Kind::session,
                  sign_in_id({.id = std::string(code.text(0, 12)),
                              .session = from_hex(code.text(0, 8)).value_or("")})));
  }
  return call_back(Revocation::Kind::token, std::string(code.text(0, 13)));
}

}  // namespace

Result<void> add_revocation(pg::Connection& connection, const Revocation& revocation) {
  // Tokens that followed a former revocation in this very second are dated after it, in the next one:
  // they go too.
  TRY(connection.query(
      "INSERT INTO domicile_directory.revocation"
      " (kind, subject, issued_before, expires_at)"
      " VALUES ($1, $2, greatest(to_timestamp($3),"
      "  (SELECT max(r.issued_before) + interval '1 second' FROM domicile_directory.revocation r"
      "   WHERE ($1 = 'user' AND (r.kind = 'user' AND r.subject = $2 OR r.kind = 'organization'"
      "     AND r.subject = (SELECT u.organization::text FROM domicile_directory.user_account u"
      "                      WHERE u.id = $2)))"
      "   OR ($1 = 'organization' AND (r.kind = 'organization' AND r.subject = $2 OR r.kind = "
      "'user'"
      "     AND r.subject IN (SELECT u.id FROM domicile_directory.user_account u"
      "                       WHERE u.organization::text = $2))))), to_timestamp($4))"
      " ON CONFLICT (kind, subject) DO UPDATE SET"
      " issued_before = greatest(revocation.issued_before, excluded.issued_before),"
      " expires_at = greatest(revocation.expires_at, excluded.expires_at)",
      {std::string(name_of(revocation.kind)), revocation.subject, number(revocation.issued_before),
       number(revocation.expires_at)}));
  return {};
}

Result<void> PgDirectory::start_session(const BrowserSession& session) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(kForgetSessions, {number(session.signed_in_at)}));
    TRY(
        connection.query("INSERT INTO domicile_directory.browser_session"
                         " (hash, user_id, organization, signed_in_at, expires_at)"
                         " VALUES ($1, $2, $3, to_timestamp($4), to_timestamp($5))",
                         {bytea(session.hash), session.user.text(), session.organization.text(),
                          number(session.signed_in_at), number(session.expires_at)}));
    return {};
  });
}

Result<std::optional<BrowserSession>> PgDirectory::find_session(std::string_view hash,
                                                                std::int64_t now_s) {
  const auto rows =
      TRY(read("SELECT s.user_id, s.organization, extract(epoch FROM s.signed_in_at)::bigint,"
               " extract(epoch FROM s.expires_at)::bigint"
               " FROM domicile_directory.browser_session s JOIN domicile_directory.user_account u"
               " ON u.id = s.user_id AND u.organization = s.organization AND u.state = 'active'"
               " WHERE s.hash = $1 AND s.ended_at IS NULL AND s.expires_at > to_timestamp($2)",
               {bytea(hash), number(now_s)}));
  if (rows.size() == 0) return std::nullopt;
  return BrowserSession{.hash = std::string(hash),
                        .user = domain::UserId(rows.text(0, 0)),
                        .organization = domain::OrgKey(rows.text(0, 1)),
                        .signed_in_at = rows.integer(0, 2),
                        .expires_at = rows.integer(0, 3)};
}

Result<void> PgDirectory::end_session(std::string_view hash, std::int64_t now_s,
                                      std::int64_t tokens_until) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(
        connection.query("UPDATE domicile_directory.browser_session SET ended_at = to_timestamp($2)"
                         " WHERE hash = $1 AND ended_at IS NULL",
                         {bytea(hash), number(now_s)}));
    TRY(connection.query(
        "UPDATE domicile_directory.refresh_family SET revoked_at = to_timestamp($2),"
        " reason = 'signed_out' WHERE session = $1 AND revoked_at IS NULL",
        {bytea(hash), number(now_s)}));
    TRY(connection.query(kForgetRevocations, {number(now_s)}));
    return add_revocation(connection, {.kind = Revocation::Kind::session,
                                       .subject = session_id(hash),
                                       .issued_before = now_s,
                                       .expires_at = tokens_until});
  });
}

Result<void> PgDirectory::add_code(const AuthorizationCode& code) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(kForgetCodes, {number(code.signed_in_at)}));
    TRY(connection.query(
        "INSERT INTO domicile_directory.authorization_code (hash, client_id, redirect_uri,"
        " challenge, user_id, organization, scope, openid, nonce, session, signed_in_at,"
        " expires_at) VALUES ($1, $2, $3, $4, $5, $6, string_to_array($7, ' '), $8, $9, $10,"
        " to_timestamp($11), to_timestamp($12))",
        {bytea(code.hash), code.client_id, code.redirect_uri, code.challenge, code.user.text(),
         code.organization.text(), joined<domain::Permission>(code.scope),
         code.openid ? "true" : "false", code.nonce, bytea(code.session), number(code.signed_in_at),
         number(code.expires_at)}));
    return {};
  });
}

Result<CodeLookup> PgDirectory::find_code(std::string_view hash, std::int64_t now_s) {
  return code_of(TRY(read(kCode, {bytea(hash)})), hash, now_s);
}

Result<RefreshState> PgDirectory::redeem_code(std::string_view hash,
                                              const CodeRedemption& redemption, std::int64_t now_s,
                                              const std::function<Result<void>()>& before_commit) {
  auto state = RefreshState::unknown;
  TRY(write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    const auto rows = TRY(connection.query(kCode + "FOR UPDATE", {bytea(hash)}));
    state = code_of(rows, hash, now_s).state;
    if (state == RefreshState::reused) return end_redemption(connection, rows, now_s);
    if (state != RefreshState::live) return {};
    // Locked, so that signing out comes before or after: what it ends does not slip through.
    const auto session =
        TRY(connection.query("SELECT 1 FROM domicile_directory.browser_session"
                             " WHERE hash = $1 AND ended_at IS NULL FOR SHARE",
                             {bytea(redemption.family.session)}));
    if (session.size() == 0) {
      state = RefreshState::revoked;
      return {};
    }
    TRY(insert_family(connection, redemption.family, redemption.first));
    TRY(connection.query(
        "UPDATE domicile_directory.authorization_code"
        " SET used_at = to_timestamp($2), family = $3, token_id = $4 WHERE hash = $1",
        {bytea(hash), number(now_s), redemption.family.id, redemption.token_id}));
    return before_commit();
  }));
  return state;
}

Result<void> PgDirectory::revoke(const Revocation& revocation, std::int64_t now_s) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query(kForgetRevocations, {number(now_s)}));
    return add_revocation(connection, revocation);
  });
}

Result<std::int64_t> PgDirectory::revoked_until(const domain::UserId& user,
                                                const domain::OrgKey& organization) {
  const auto rows = TRY(
      read("SELECT coalesce(extract(epoch FROM max(issued_before)), 0)::bigint"
           " FROM domicile_directory.revocation"
           " WHERE (kind = 'user' AND subject = $1) OR (kind = 'organization' AND subject = $2)",
           {user.text(), organization.text()}));
  return rows.integer(0, 0);
}

Result<std::vector<Revocation>> PgDirectory::revocations(std::int64_t now_s) {
  const auto rows =
      TRY(read("SELECT kind, subject, extract(epoch FROM issued_before)::bigint,"
               " extract(epoch FROM expires_at)::bigint FROM domicile_directory.revocation"
               " WHERE expires_at > to_timestamp($1)",
               {number(now_s)}));
  std::vector<Revocation> found;
  for (int row = 0; row < rows.size(); ++row) {
    const auto kind = rows.text(row, 0);
    found.push_back({.kind = kind == "token"     ? Revocation::Kind::token
                             : kind == "session" ? Revocation::Kind::session
                             : kind == "grant"   ? Revocation::Kind::grant
                             : kind == "user"    ? Revocation::Kind::user
                                                 : Revocation::Kind::organization,
                     .subject = std::string(rows.text(row, 1)),
                     .issued_before = rows.integer(row, 2),
                     .expires_at = rows.integer(row, 3)});
  }
  return found;
}

}  // namespace domicile::store
