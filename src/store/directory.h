// The regional directory: people, clients, refresh tokens, grants and signing keys of the
// organizations homed here (schema domicile_directory). Typed access; what the values mean is the
// issuer's affair.
//
// Directory is the narrow port that the issuer stands on; PgDirectory is the real one. Every call
// may block on the database and is thread-safe. Times are Unix seconds. Errors: unavailable when
// the database cannot be reached or no connection is free in time; conflict for a login, client or
// id that exists; denied when the guard refuses the organization (not homed here); anything else of
// pg::Connection.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/event.h"
#include "domain/principal.h"

namespace domicile::store {

struct UserAccount {
  domain::UserId id;  // "u_..." opaque
  domain::OrgKey organization;
  std::string login;
  std::string password_hash;  // argon2id, encoded
  std::vector<domain::RoleName> roles;
  bool active = true;
  std::int64_t created_at = 0;
};

struct ClientAccount {
  std::string id;
  std::optional<domain::OrgKey> organization;  // of a service; none for a first-party application
  std::string secret_hash;  // SHA-256, 32 bytes; "" when the client has no secret
  // Grant types.
  bool client_credentials = false, password = false, refresh_token = false;
  bool authorization_code = false, token_exchange = false;
  std::vector<domain::Permission>
      permissions;  // a service's own; a ceiling for an application ("" = none)
  std::vector<domain::RoleName> roles;
  bool active = true;
  // Where a browser may be sent: with a code, and after signing out.
  std::vector<std::string> redirect_uris, signed_out_uris;
};

struct AccessGrant {
  std::string id;  // "g_..."
  domain::UserId user;
  domain::OrgKey organization;  // the user's own
  domain::OrgKey target;        // may be acted in
  std::vector<domain::Permission> permissions;
  std::string ticket;
  std::string granted_by;
  std::int64_t created_at = 0;
  std::int64_t expires_at = 0;
  std::optional<std::int64_t> revoked_at;
};

struct RefreshFamily {
  std::string id;
  domain::UserId user;
  std::string client_id;
  domain::OrgKey organization;
  std::vector<domain::Permission> scope;  // what was asked for; empty: all that the roles give
  std::int64_t created_at = 0;
  std::int64_t expires_at = 0;
  std::string session;  // hash of the browser's session that it came from; "" for none
};

struct RefreshToken {
  std::string hash;  // SHA-256 of the token, 32 bytes: the token itself is never stored
  std::int64_t expires_at = 0;
};

enum class RefreshState { live, unknown, expired, revoked, reused };

struct RefreshLookup {
  RefreshState state = RefreshState::unknown;
  RefreshFamily family;  // unless unknown
};

struct SealedKey {
  std::string kid;
  std::string algorithm;  // as JOSE writes it
  std::string sealed;     // crypto::SealingKey under "signing-key:<kid>"
  std::int64_t created_at = 0, activates_at = 0, retires_at = 0, expires_at = 0;
  bool operator==(const SealedKey&) const = default;
};

// The end of the signing keys in use, before their time.
struct KeyRotation {
  std::int64_t now_s = 0;
  std::int64_t takes_over_at = 0;    // the successors sign from then on
  std::int64_t published_until = 0;  // the former keys
};

using OrganizationRoles = std::map<domain::RoleName, std::vector<domain::Permission>>;

class Directory {
 public:
  virtual ~Directory() = default;

  virtual Result<std::optional<UserAccount>> find_user(const domain::OrgKey& organization,
                                                       std::string_view login) = 0;
  virtual Result<std::optional<UserAccount>> find_user(const domain::UserId& id) = 0;
  virtual Result<std::optional<ClientAccount>> find_client(std::string_view id) = 0;
  // Roles that the organization defines itself.
  virtual Result<OrganizationRoles> roles_of(const domain::OrgKey& organization) = 0;
  // Neither expired nor revoked, and of a user's own present organization.
  virtual Result<std::vector<domain::Grant>> live_grants(const domain::UserId& user,
                                                         std::int64_t now_s) = 0;

  // Without a hash there is no first token: the family then only says what belongs to a sign-in.
  virtual Result<void> start_family(const RefreshFamily& family, const RefreshToken& first) = 0;
  virtual Result<RefreshLookup> find_refresh(std::string_view hash, std::int64_t now_s) = 0;
  // Uses up `hash` and puts `next` in its place, in one transaction. A token used before revokes
  // its family (state reused). `before_commit` runs last, with the rows locked; its error undoes
  // everything and is returned. It must not call the directory.
  virtual Result<RefreshLookup> rotate_refresh(
      std::string_view hash, const RefreshToken& next, std::int64_t now_s,
      const std::function<Result<void>()>& before_commit) = 0;
  // The family of the token, if there is one; revoking twice is no error.
  virtual Result<void> revoke_refresh(std::string_view hash, std::string_view reason,
                                      std::int64_t now_s) = 0;
  virtual Result<void> revoke_user_families(const domain::UserId& user, std::string_view reason,
                                            std::int64_t now_s) = 0;

  virtual Result<std::vector<SealedKey>> signing_keys() = 0;
  // Runs `plan` on the keys under a lock that all nodes of the region share, stores the keys it
  // returns, and forgets those that expired. Returns all keys afterwards, oldest activation first.
  using KeyPlan = std::function<Result<std::vector<SealedKey>>(const std::vector<SealedKey>&)>;
  virtual Result<std::vector<SealedKey>> renew_signing_keys(std::int64_t now_s,
                                                            const KeyPlan& plan) = 0;

  // Hands at most `most` events of administrators' changes to `record`, oldest first, and forgets
  // them when it succeeds. How many there were. An interrupted run may hand over the same events
  // again.
  using Recorder = std::function<Result<void>(std::vector<domain::Event>)>;
  virtual Result<int> drain_outbox(int most, const Recorder& record) = 0;
};

}  // namespace domicile::store
