// A directory in memory, for the tests of this module: the port's contract without PostgreSQL. What
// the real one does is tested on real PostgreSQL in tests/system/test_identity_*.py.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>

#include "store/sign_ins.h"

namespace domicile::issuer {

class MemoryDirectory final : public store::Directory, public store::SignIns {
 public:
  std::map<std::string, store::UserAccount> users;
  std::map<std::string, store::ClientAccount> clients;
  std::map<std::string, store::OrganizationRoles> roles;
  std::map<std::string, std::vector<domain::Grant>> grants;
  std::vector<store::SealedKey> keys;
  bool broken = false;
  int user_lookups = 0, lockout_reads = 0, failures_kept = 0;  // the work of a sign-in

  struct Family {
    store::RefreshFamily family;
    bool revoked = false;
  };
  struct Token {
    std::string family;
    std::int64_t expires_at = 0;
    bool used = false;
  };
  std::map<std::string, Family> families;
  std::map<std::string, Token> tokens;

  Result<std::optional<store::UserAccount>> find_user(const domain::OrgKey& organization,
                                                      std::string_view login) override {
    TRY(up());
    ++user_lookups;
    for (const auto& [id, user] : users) {
      if (user.organization == organization && user.login == login) return user;
    }
    return std::nullopt;
  }
  Result<std::optional<store::UserAccount>> find_user(const domain::UserId& id) override {
    TRY(up());
    const auto at = users.find(id.text());
    if (at == users.end()) return std::nullopt;
    return at->second;
  }
  Result<std::optional<store::ClientAccount>> find_client(std::string_view id) override {
    TRY(up());
    const auto at = clients.find(std::string(id));
    if (at == clients.end()) return std::nullopt;
    return at->second;
  }
  Result<store::OrganizationRoles> roles_of(const domain::OrgKey& organization) override {
    TRY(up());
    return roles[organization.text()];
  }
  Result<std::vector<domain::Grant>> live_grants(const domain::UserId& user,
                                                 std::int64_t now_s) override {
    TRY(up());
    auto found = grants[user.text()];
    std::erase_if(found, [&](const domain::Grant& grant) { return grant.expires_at <= now_s; });
    return found;
  }
  Result<void> start_family(const store::RefreshFamily& family,
                            const store::RefreshToken& first) override {
    TRY(up());
    families[family.id] = {family};
    if (first.hash.empty()) return {};
    tokens[first.hash] = {family.id, first.expires_at};
    return {};
  }
  Result<store::RefreshLookup> find_refresh(std::string_view hash, std::int64_t now_s) override {
    TRY(up());
    return look(hash, now_s);
  }
  Result<store::RefreshLookup> rotate_refresh(
      std::string_view hash, const store::RefreshToken& next, std::int64_t now_s,
      const std::function<Result<void>()>& before_commit) override {
    TRY(up());
    const auto found = look(hash, now_s);
    if (found.state == store::RefreshState::reused) families[found.family.id].revoked = true;
    if (found.state != store::RefreshState::live) return found;
    TRY(before_commit());
    tokens[std::string(hash)].used = true;
    tokens[next.hash] = {found.family.id, next.expires_at};
    return found;
  }
  Result<void> revoke_refresh(std::string_view hash, std::string_view,
                              std::int64_t now_s) override {
    TRY(up());
    const auto found = look(hash, now_s);
    if (found.state != store::RefreshState::unknown) families[found.family.id].revoked = true;
    return {};
  }
  Result<void> revoke_user_families(const domain::UserId& user, std::string_view,
                                    std::int64_t) override {
    for (auto& [id, family] : families)
      family.revoked = family.revoked || family.family.user == user;
    return {};
  }
  Result<std::vector<store::SealedKey>> signing_keys() override {
    TRY(up());
    return sorted();
  }
  Result<std::vector<store::SealedKey>> renew_signing_keys(std::int64_t now_s,
                                                           const KeyPlan& plan) override {
    TRY(up());
    std::erase_if(keys, [&](const store::SealedKey& key) { return key.expires_at <= now_s; });
    for (auto& key : TRY(plan(sorted()))) keys.push_back(key);
    return sorted();
  }
  Result<int> drain_outbox(int, const Recorder& record) override {
    TRY(up());
    const int count = static_cast<int>(outbox.size());
    if (count > 0) TRY(record(outbox));
    outbox.clear();
    return count;
  }
  std::vector<domain::Event> outbox;

  struct KeptCode {
    store::AuthorizationCode code;
    bool used = false;
    std::string family, token_id;
  };
  std::map<std::string, store::BrowserSession> sessions;
  std::map<std::string, KeptCode> codes;
  std::vector<store::Revocation> revoked;

  Result<void> start_session(const store::BrowserSession& session) override {
    TRY(up());
    sessions[session.hash] = session;
    return {};
  }
  Result<std::optional<store::BrowserSession>> find_session(std::string_view hash,
                                                            std::int64_t now_s) override {
    TRY(up());
    const auto at = sessions.find(std::string(hash));
    if (at == sessions.end() || at->second.expires_at <= now_s) return std::nullopt;
    const auto user = users.find(at->second.user.text());
    if (user == users.end() || !user->second.active) return std::nullopt;
    return at->second;
  }
  Result<void> end_session(std::string_view hash, std::int64_t now_s,
                           std::int64_t tokens_until) override {
    TRY(up());
    sessions.erase(std::string(hash));
    revoked.push_back(
        {store::Revocation::Kind::session, store::session_id(hash), now_s, tokens_until});
    for (auto& [id, family] : families)
      family.revoked = family.revoked || family.family.session == hash;
    return {};
  }
  Result<void> add_code(const store::AuthorizationCode& code) override {
    TRY(up());
    codes[code.hash] = {.code = code, .used = false, .family = {}, .token_id = {}};
    return {};
  }
  Result<store::CodeLookup> find_code(std::string_view hash, std::int64_t now_s) override {
    TRY(up());
    store::CodeLookup found;
    const auto at = codes.find(std::string(hash));
    if (at == codes.end()) return found;
    found.code = at->second.code;
    found.state = at->second.used                       ? store::RefreshState::reused
                  : at->second.code.expires_at <= now_s ? store::RefreshState::expired
                                                        : store::RefreshState::live;
    return found;
  }
  Result<store::RefreshState> redeem_code(
      std::string_view hash, const store::CodeRedemption& redemption, std::int64_t now_s,
      const std::function<Result<void>()>& before_commit) override {
    const auto found = TRY(find_code(hash, now_s));
    if (found.state == store::RefreshState::unknown) return found.state;
    KeptCode& code = codes[std::string(hash)];
    if (found.state == store::RefreshState::reused) {
      if (families.contains(code.family)) {
        families[code.family].revoked = true;
        revoked.push_back({store::Revocation::Kind::session,
                           store::sign_in_id(families[code.family].family), now_s, now_s + 86400});
      }
      revoked.push_back({store::Revocation::Kind::token, code.token_id, now_s, now_s + 86400});
    }
    if (found.state != store::RefreshState::live) return found.state;
    if (!sessions.contains(code.code.session)) return store::RefreshState::revoked;
    TRY(before_commit());
    code.used = true;
    code.token_id = redemption.token_id;
    code.family = redemption.family.id;
    TRY(start_family(redemption.family, redemption.first));
    return found.state;
  }
  Result<void> revoke(const store::Revocation& revocation, std::int64_t) override {
    TRY(up());
    revoked.push_back(revocation);
    return {};
  }
  Result<std::int64_t> revoked_until(const domain::UserId& user,
                                     const domain::OrgKey& organization) override {
    TRY(up());
    std::int64_t until = 0;
    for (const auto& each : revoked) {
      if ((each.kind == store::Revocation::Kind::user && each.subject == user.text()) ||
          (each.kind == store::Revocation::Kind::organization &&
           each.subject == organization.text()))
        until = std::max(until, each.issued_before);
    }
    return until;
  }
  Result<std::vector<store::Revocation>> revocations(std::int64_t now_s) override {
    TRY(up());
    auto live = revoked;
    std::erase_if(live, [&](const store::Revocation& each) { return each.expires_at <= now_s; });
    return live;
  }
  std::map<std::string, store::Lockout> lockouts;
  Result<std::optional<store::Lockout>> lockout(std::string_view subject) override {
    TRY(up());
    ++lockout_reads;
    const auto at = lockouts.find(std::string(subject));
    if (at == lockouts.end()) return std::nullopt;
    return at->second;
  }
  Result<void> add_failure(std::string_view subject, const store::LockoutRules& rules,
                           std::int64_t now_s) override {
    TRY(up());
    ++failures_kept;
    const auto at = lockouts.find(std::string(subject));
    const auto next =
        store::after_failure(at == lockouts.end() ? nullptr : &at->second, rules, now_s);
    lockouts[std::string(subject)] = next;
    return {};
  }
  Result<void> forget_failures(std::string_view subject) override {
    TRY(up());
    lockouts.erase(std::string(subject));
    return {};
  }

 private:
  Result<void> up() const {
    if (broken) return fail(Code::unavailable, "the test's database is down");
    return {};
  }
  std::vector<store::SealedKey> sorted() const {
    auto out = keys;
    std::ranges::sort(
        out, {}, [](const store::SealedKey& key) { return std::pair(key.activates_at, key.kid); });
    return out;
  }
  store::RefreshLookup look(std::string_view hash, std::int64_t now_s) const {
    store::RefreshLookup found;
    const auto token = tokens.find(std::string(hash));
    if (token == tokens.end()) return found;
    const Family& family = families.at(token->second.family);
    found.family = family.family;
    found.state = family.revoked       ? store::RefreshState::revoked
                  : token->second.used ? store::RefreshState::reused
                  : token->second.expires_at <= now_s || family.family.expires_at <= now_s
                      ? store::RefreshState::expired
                      : store::RefreshState::live;
    return found;
  }
};

}  // namespace domicile::issuer
