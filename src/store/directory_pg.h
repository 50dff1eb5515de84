// The directory on the regional PostgreSQL, over a small pool of blocking connections of the node's
// run-time role. Administrative calls, which only the CLI makes, stand here and not in the port.
//
// No error of this class quotes a row: PostgreSQL's "Failing row contains" would put a person into
// an operator's log.
#pragma once

#include <memory>
#include <span>

#include "store/directory.h"
#include "store/pg_pool.h"
#include "store/sign_ins.h"

namespace domicile::store {

class PgDirectory final : public Directory, public SignIns {
 public:
  struct Options {
    std::string dsn;
    unsigned connections = 4;
    std::chrono::milliseconds wait{2000};
    std::chrono::milliseconds statement_timeout{5000};
  };
  explicit PgDirectory(Options options);

  Result<std::optional<UserAccount>> find_user(const domain::OrgKey& organization,
                                               std::string_view login) override;
  Result<std::optional<UserAccount>> find_user(const domain::UserId& id) override;
  Result<std::optional<ClientAccount>> find_client(std::string_view id) override;
  Result<OrganizationRoles> roles_of(const domain::OrgKey& organization) override;
  Result<std::vector<domain::Grant>> live_grants(const domain::UserId& user,
                                                 std::int64_t now_s) override;
  Result<void> start_family(const RefreshFamily& family, const RefreshToken& first) override;
  Result<RefreshLookup> find_refresh(std::string_view hash, std::int64_t now_s) override;
  Result<RefreshLookup> rotate_refresh(std::string_view hash, const RefreshToken& next,
                                       std::int64_t now_s,
                                       const std::function<Result<void>()>& before_commit) override;
  Result<void> revoke_refresh(std::string_view hash, std::string_view reason,
                              std::int64_t now_s) override;
  Result<void> revoke_user_families(const domain::UserId& user, std::string_view reason,
                                    std::int64_t now_s) override;
  Result<std::vector<SealedKey>> signing_keys() override;
  Result<std::vector<SealedKey>> renew_signing_keys(std::int64_t now_s,
                                                    const KeyPlan& plan) override;
  Result<int> drain_outbox(int most, const Recorder& record) override;

  Result<void> start_session(const BrowserSession& session) override;
  Result<std::optional<BrowserSession>> find_session(std::string_view hash,
                                                     std::int64_t now_s) override;
  Result<void> end_session(std::string_view hash, std::int64_t now_s,
                           std::int64_t tokens_until) override;
  Result<void> add_code(const AuthorizationCode& code) override;
  Result<CodeLookup> find_code(std::string_view hash, std::int64_t now_s) override;
  Result<RefreshState> redeem_code(std::string_view hash, const CodeRedemption& redemption,
                                   std::int64_t now_s,
                                   const std::function<Result<void>()>& before_commit) override;
  Result<void> revoke(const Revocation& revocation, std::int64_t now_s) override;
  Result<std::int64_t> revoked_until(const domain::UserId& user,
                                     const domain::OrgKey& organization) override;
  Result<std::vector<Revocation>> revocations(std::int64_t now_s) override;
  Result<std::optional<Lockout>> lockout(std::string_view subject) override;
  Result<void> add_failure(std::string_view subject, const LockoutRules& rules,
                           std::int64_t now_s) override;
  Result<void> forget_failures(std::string_view subject) override;

  // Administration, by `Administrator::name`. Every change puts its event into the outbox in the
  // same transaction. Where `commit` is no, everything is tried and then undone: a dry run that the
  // database's own rules have seen.
  enum class Commit { yes, no };
  struct Administrator {
    std::string name;
    Commit commit = Commit::yes;
  };
  Result<void> add_user(const UserAccount& user, const Administrator& by);
  Result<std::vector<UserAccount>> users_of(const domain::OrgKey& organization);
  Result<void> set_password(const UserAccount& user, std::string_view password_hash,
                            std::int64_t now_s, const Administrator& by);
  Result<void> set_roles(const UserAccount& user, std::span<const domain::RoleName> roles,
                         const Administrator& by);
  Result<void> set_active(const UserAccount& user, bool active, std::int64_t now_s,
                          const Administrator& by);
  Result<void> set_organization_role(const domain::OrgKey& organization,
                                     const domain::RoleName& role,
                                     std::span<const domain::Permission> permissions,
                                     const Administrator& by);
  Result<void> add_client(const ClientAccount& client, const Administrator& by);
  Result<std::vector<ClientAccount>> clients();
  Result<void> set_client_active(const ClientAccount& client, bool active, const Administrator& by);
  Result<void> add_grant(const AccessGrant& grant, const Administrator& by);
  Result<std::vector<AccessGrant>> grants(
      const std::optional<domain::OrgKey>& organization);  // either side of it
  Result<void> revoke_grant(std::string_view id, std::int64_t now_s, const Administrator& by);
  // Calls access tokens back; for a user also the refresh tokens and sessions.
  Result<void> revoke_tokens(const Revocation& revocation, const domain::OrgKey& organization,
                             std::int64_t now_s, const Administrator& by);
  // The keys that sign now end as the rotation says, those that would have followed never sign; a
  // node makes their successors within a second.
  Result<void> rotate_signing_keys(const KeyRotation& rotation, const Administrator& by);
  // Is the organization homed in this region, as the region's own database says?
  Result<bool> homed(const domain::OrgKey& organization);
  // The region this database is of.
  Result<domain::RegionId> region();

 private:
  struct Note;  // a row of the outbox
  Result<pg::Rows> read(const std::string& sql, std::initializer_list<pg::Param> params);
  Result<void> write(Commit commit, const std::function<Result<void>(pg::Connection&)>& body);
  Result<void> administer(const Administrator& by, const Note& note,
                          const std::function<Result<void>(pg::Connection&)>& body);
  PgPool pool_;
};

}  // namespace domicile::store
