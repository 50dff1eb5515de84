// What a browser's sign-in leaves in the regional directory: sessions, authorization codes, and the
// access tokens that were called back. SignIns is the port that the issuer stands on, beside
// Directory; the same rules hold (blocking, thread-safe, times in Unix seconds, its errors).
// `hash` is always the SHA-256 (32 bytes) of a random secret that only the browser or the client
// has.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/principal.h"
#include "store/directory.h"
#include "store/lockout.h"

namespace domicile::store {

struct BrowserSession {
  std::string hash;
  domain::UserId user;
  domain::OrgKey organization;
  std::int64_t signed_in_at = 0;
  std::int64_t expires_at = 0;
};

struct AuthorizationCode {
  std::string hash;
  std::string client_id;
  std::string redirect_uri;
  std::string challenge;  // PKCE, S256
  domain::UserId user;
  domain::OrgKey organization;
  std::vector<domain::Permission> scope;  // what was asked for; empty: all that the roles give
  bool openid = false;                    // an ID token is wanted
  std::string nonce;
  std::string session;  // hash of the browser's session
  std::int64_t signed_in_at = 0;
  std::int64_t expires_at = 0;
};

// `reused`: redeemed before.
struct CodeLookup {
  RefreshState state = RefreshState::unknown;
  AuthorizationCode code;  // unless unknown
};

// What a code is redeemed for.
struct CodeRedemption {
  std::string token_id;  // of the access token
  RefreshFamily family;
  RefreshToken first;  // of the family; without a hash: the client gets none
};

struct Revocation {
  enum class Kind { token, session, grant, user, organization };
  Kind kind = Kind::token;
  std::string subject;             // jti, sid (or its first part), or an id
  std::int64_t issued_before = 0;  // tokens issued up to then, this second included
  std::int64_t expires_at = 0;     // when the last of these tokens has expired anyway
};

// A browser's session as tokens name it: nothing that its cookie could be found from.
std::string session_id(std::string_view hash);
// The claim `sid` of the tokens of a family: "session.family", or the family alone where there is no
// browser.
std::string sign_in_id(const RefreshFamily& family);

class SignIns {
 public:
  virtual ~SignIns() = default;

  virtual Result<void> start_session(const BrowserSession& session) = 0;
  // Neither expired nor ended, of a user who is still active in the session's organization.
  virtual Result<std::optional<BrowserSession>> find_session(std::string_view hash,
                                                             std::int64_t now_s) = 0;
  // With the refresh tokens and access tokens that came from it; the latter have expired by
  // `tokens_until`. Ending twice is no error.
  virtual Result<void> end_session(std::string_view hash, std::int64_t now_s,
                                   std::int64_t tokens_until) = 0;

  virtual Result<void> add_code(const AuthorizationCode& code) = 0;
  virtual Result<CodeLookup> find_code(std::string_view hash, std::int64_t now_s) = 0;
  // Uses the code up and stores what it was redeemed for, in one transaction whose last act is
  // `before_commit`, as in Directory::rotate_refresh(). A code that was redeemed before ends the
  // refresh tokens and the access tokens that it was redeemed for. One whose session has ended
  // meanwhile is worth nothing (state revoked).
  virtual Result<RefreshState> redeem_code(std::string_view hash, const CodeRedemption& redemption,
                                           std::int64_t now_s,
                                           const std::function<Result<void>()>& before_commit) = 0;

  virtual Result<void> revoke(const Revocation& revocation, std::int64_t now_s) = 0;
  // Up to when tokens of this user or this organization are called back; 0 for never.
  virtual Result<std::int64_t> revoked_until(const domain::UserId& user,
                                             const domain::OrgKey& organization) = 0;
  // Those that have not expired.
  virtual Result<std::vector<Revocation>> revocations(std::int64_t now_s) = 0;

  // Failed sign-ins of a name, known to all nodes. `subject` is a keyed hash of it (32 bytes).
  virtual Result<std::optional<Lockout>> lockout(std::string_view subject) = 0;
  virtual Result<void> add_failure(std::string_view subject, const LockoutRules& rules,
                                   std::int64_t now_s) = 0;
  virtual Result<void> forget_failures(std::string_view subject) = 0;
};

}  // namespace domicile::store
