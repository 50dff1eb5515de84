// The grant types of the token endpoint.
#include <algorithm>

#include "base/log.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "issuer/token_call.h"
#include "issuer/token_endpoint.h"

namespace domicile::issuer {
namespace {

using domain::PlacementState;

std::unexpected<http::Response> stop(http::Response answer) {
  return std::unexpected(std::move(answer));
}

std::unexpected<http::Response> broken(std::string_view doing, const Error& error) {
  log_error("issuer", std::string(doing) + ": " + error.message);
  return stop(unavailable());
}

std::vector<domain::Permission> common(const std::vector<domain::Permission>& a,
                                       const std::vector<domain::Permission>& sorted_b) {
  std::vector<domain::Permission> out;
  std::ranges::copy_if(a, std::back_inserter(out),
                       [&](const auto& p) { return std::ranges::binary_search(sorted_b, p); });
  return out;
}

}  // namespace

std::string new_refresh_token() { return "rt1." + crypto::random_text(32); }

std::string refresh_token_hash(std::string_view token) {
  return std::string(crypto::view(crypto::sha256(token)));
}

// Only an active organization that is homed here goes on.
std::expected<domain::OrganizationView, http::Response> TokenEndpoint::home(
    Call& call, std::string_view organization) {
  const auto found = call.snapshot->find(organization);
  if (!found || found->state == PlacementState::closed) {
    return stop(refused(denied_event(call, organization, "organization_unknown"), invalid_grant()));
  }
  if (!found->homed_in(options_.region.view())) {
    return stop(
        refused(evidence_.wrong_region(found->key, call.request), wrong_region(found->home->url)));
  }
  if (found->state == PlacementState::moving) {
    return stop(retry_later(503, "temporarily_unavailable", "the organization is moving",
                            std::chrono::seconds(5)));
  }
  if (found->state == PlacementState::suspended) {
    return stop(refused(denied_event(call, organization, "organization_suspended"),
                        oauth_error(400, "access_denied", "the organization is suspended")));
  }
  return *found;
}

TokenEndpoint::Answer TokenEndpoint::client_credentials(Call& call) {
  if (!call.client.organization)
    return stop(oauth_error(400, "unauthorized_client", "this client is no service"));
  const auto at = home(call, call.client.organization->view());
  if (!at) return stop(at.error());
  Rights rights{.subject = domain::UserId(call.client.id),
                .organization = *at,
                .roles = call.client.roles,
                .permissions = {},
                .grants = {}};
  const auto own = ports_.directory.roles_of(*call.client.organization);
  if (!own) return broken("reading roles", own.error());
  rights.permissions = roles_.permissions(call.client.roles, *own);
  rights.permissions.insert(rights.permissions.end(), call.client.permissions.begin(),
                            call.client.permissions.end());
  std::ranges::sort(rights.permissions);
  rights.permissions.erase(std::ranges::unique(rights.permissions).begin(),
                           rights.permissions.end());
  if (auto narrowed = narrow(rights, call.scope); !narrowed)
    return stop(std::move(narrowed).error());
  std::string id;
  auto token = access_token(call, rights, id);
  if (!token) return stop(std::move(token).error());
  auto signed_in =
      evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, call.request);
  signed_in.organization = domain::OrgKey(at->key);
  signed_in.actor = rights.subject;
  signed_in.resource = "client:" + call.client.id;
  signed_in.epoch = at->epoch;
  if (auto stored = evidence_.record({std::move(signed_in), issued_event(call, rights, id)});
      !stored) {
    return broken("recording an issuance", stored.error());
  }
  return answer(call, rights, std::move(*token), "");
}

TokenEndpoint::Answer TokenEndpoint::password(Call& call) {
  const std::string* organization = form_value(call.form, "organization");
  if (organization == nullptr || form_value(call.form, "username") == nullptr ||
      form_value(call.form, "password") == nullptr) {
    return stop(
        oauth_error(400, "invalid_request", "organization, username and password are needed"));
  }
  const auto located = locator_.by_name(*call.snapshot, *organization);
  if (!located) return stop(unavailable());
  if (located->region->id != options_.region) {
    const std::string_view key =
        located->organization ? located->organization->key : std::string_view();
    return stop(
        refused(evidence_.wrong_region(key, call.request), wrong_region(located->region->url)));
  }
  const auto user = check_password(call, located->organization);
  if (!user) return stop(user.error());
  const auto at = home(call, located->organization->key);
  if (!at) return stop(at.error());
  auto rights = rights_of(*user, call.client, *at);
  if (!rights) return stop(std::move(rights).error());
  if (auto narrowed = narrow(*rights, call.scope); !narrowed)
    return stop(std::move(narrowed).error());
  const auto family = new_family(call, user->id, user->organization, call.scope, {});
  rights->session = store::sign_in_id(family);
  std::string id;
  auto token = access_token(call, *rights, id);
  if (!token) return stop(std::move(token).error());

  std::string refresh_token;
  if (call.client.refresh_token) {
    refresh_token = new_refresh_token();
    const auto kept = ports_.directory.start_family(
        family, {.hash = refresh_token_hash(refresh_token),
                 .expires_at = call.now_s + options_.refresh_token_s});
    if (!kept) return broken("storing a refresh token", kept.error());
  }
  auto signed_in =
      evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, call.request);
  signed_in.organization = user->organization;
  signed_in.actor = user->id;
  signed_in.resource = "client:" + call.client.id;
  signed_in.epoch = at->epoch;
  if (auto stored = evidence_.record({std::move(signed_in), issued_event(call, *rights, id)});
      !stored) {
    return broken("recording a sign-in", stored.error());
  }
  return answer(call, *rights, std::move(*token), refresh_token);
}

std::expected<store::UserAccount, http::Response> TokenEndpoint::check_password(
    Call& call, const std::optional<domain::OrganizationView>& at) {
  auto user = passwords_.check({.request = call.request,
                                .client_id = call.client.id,
                                .grant_type = call.grant_type,
                                .organization_typed = *form_value(call.form, "organization"),
                                .organization = at,
                                .login_typed = *form_value(call.form, "username"),
                                .password = Secret(*form_value(call.form, "password"))});
  if (user) return std::move(*user);
  switch (user.error().why) {
    case PasswordRefusal::Why::wrong: return stop(invalid_grant());
    case PasswordRefusal::Why::locked:
      return stop(retry_later(429, "slow_down", "too many failed attempts", user.error().wait));
    case PasswordRefusal::Why::busy:
      return stop(retry_later(503, "temporarily_unavailable", "too many sign-ins at once",
                              std::chrono::seconds(2)));
    case PasswordRefusal::Why::unavailable: break;
  }
  return stop(unavailable());
}

std::expected<TokenEndpoint::Rights, http::Response> TokenEndpoint::rights_of(
    const store::UserAccount& user, const store::ClientAccount& client,
    const domain::OrganizationView& at) {
  const auto own = ports_.directory.roles_of(user.organization);
  if (!own) return broken("reading roles", own.error());
  auto grants = ports_.directory.live_grants(user.id, ports_.clock.unix_seconds());
  if (!grants) return broken("reading grants", grants.error());
  Rights rights{.subject = user.id,
                .organization = at,
                .roles = user.roles,
                .permissions = roles_.permissions(user.roles, *own),
                .grants = std::move(*grants)};
  limit(rights, client);
  return rights;
}

// No application may do more for a person than it was registered for.
void TokenEndpoint::limit(Rights& rights, const store::ClientAccount& client) {
  if (client.permissions.empty()) return;
  auto ceiling = client.permissions;
  std::ranges::sort(ceiling);
  rights.permissions = common(rights.permissions, ceiling);
  for (auto& grant : rights.grants) grant.permissions = common(grant.permissions, ceiling);
  std::erase_if(rights.grants,
                [](const domain::Grant& grant) { return grant.permissions.empty(); });
}

// To what was asked for: all of it, or an error.
std::expected<void, http::Response> TokenEndpoint::narrow(
    Rights& rights, const std::vector<domain::Permission>& wanted) {
  if (wanted.empty()) return {};
  auto possible = rights.permissions;  // in the own organization, or in one that a grant opens
  for (const auto& grant : rights.grants) {
    possible.insert(possible.end(), grant.permissions.begin(), grant.permissions.end());
  }
  std::ranges::sort(possible);
  if (common(wanted, possible).size() != wanted.size()) {
    return stop(oauth_error(400, "invalid_scope", "more was asked for than may be given"));
  }
  rights.permissions = common(rights.permissions, wanted);
  for (auto& grant : rights.grants) grant.permissions = common(grant.permissions, wanted);
  std::erase_if(rights.grants,
                [](const domain::Grant& grant) { return grant.permissions.empty(); });
  return {};
}

TokenEndpoint::Answer TokenEndpoint::refresh(Call& call) {
  const std::string* presented = form_value(call.form, "refresh_token");
  if (presented == nullptr)
    return stop(oauth_error(400, "invalid_request", "refresh_token is missing"));
  const std::string hash = refresh_token_hash(*presented);
  const auto seen = ports_.directory.find_refresh(hash, call.now_s);
  if (!seen) return broken("looking up a refresh token", seen.error());
  const auto refuse = [&](std::string_view cause) {
    auto event = denied_event(call, seen->family.organization.view(), cause);
    event.actor = seen->family.user;
    if (cause == "refresh_reused") event.severity = "high";
    return stop(refused(std::move(event), invalid_grant()));
  };
  if (seen->state == store::RefreshState::unknown || seen->family.client_id != call.client.id) {
    return stop(refused(denied_event(call, "", "refresh_unknown"), invalid_grant()));
  }
  if (seen->state == store::RefreshState::expired) return refuse("refresh_expired");
  if (seen->state == store::RefreshState::revoked) return refuse("refresh_revoked");

  const auto at = home(call, seen->family.organization.view());
  if (!at) return stop(at.error());
  const auto user = ports_.directory.find_user(seen->family.user);
  if (!user) return broken("looking up a user", user.error());
  if (!*user || !(*user)->active) return refuse("disabled");
  auto rights = rights_of(**user, call.client, *at);
  if (!rights) return stop(std::move(rights).error());
  if (!seen->family.scope.empty())
    rights->permissions = common(rights->permissions, seen->family.scope);
  if (auto narrowed = narrow(*rights, call.scope); !narrowed)
    return stop(std::move(narrowed).error());
  rights->session = store::sign_in_id(seen->family);
  std::string id;
  auto token = access_token(call, *rights, id);
  if (!token) return stop(std::move(token).error());

  const std::string next = new_refresh_token();
  const auto rotated = ports_.directory.rotate_refresh(
      hash, {.hash = refresh_token_hash(next), .expires_at = call.now_s + options_.refresh_token_s},
      call.now_s, [&] { return evidence_.record({issued_event(call, *rights, id)}); });
  if (!rotated) return broken("rotating a refresh token", rotated.error());
  switch (rotated->state) {
    case store::RefreshState::live: return answer(call, *rights, std::move(*token), next);
    case store::RefreshState::reused:
      // The access tokens too: the thief's is among them.
      if (auto called = call_back(seen->family, call.now_s); !called)
        return broken("calling tokens back", called.error());
      return refuse("refresh_reused");
    case store::RefreshState::expired: return refuse("refresh_expired");
    case store::RefreshState::revoked:
    case store::RefreshState::unknown: break;
  }
  return refuse("refresh_revoked");
}

}  // namespace domicile::issuer
