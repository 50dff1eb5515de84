// grant_type=authorization_code: RFC 6749 section 4.1.3, RFC 7636 (S256 only), RFC 9700.
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "issuer/token_call.h"
#include "issuer/token_endpoint.h"

namespace domicile::issuer {
namespace {

constexpr std::int64_t kIdTokenS = 300;

std::unexpected<http::Response> stop(http::Response answer) {
  return std::unexpected(std::move(answer));
}

std::unexpected<http::Response> broken(std::string_view doing, const Error& error) {
  log_error("issuer", std::string(doing) + ": " + error.message);
  return stop(unavailable());
}

// RFC 7636 section 4.6.
bool proves(std::string_view verifier, std::string_view challenge) {
  return equal_constant_time(to_base64url(crypto::view(crypto::sha256(verifier))), challenge);
}

}  // namespace

std::string authorization_code_hash(std::string_view code) {
  return std::string(crypto::view(crypto::sha256(code)));
}

TokenEndpoint::Answer TokenEndpoint::code(Call& call) {
  const std::string* presented = form_value(call.form, "code");
  const std::string* redirect_uri = form_value(call.form, "redirect_uri");
  const std::string* verifier = form_value(call.form, "code_verifier");
  if (presented == nullptr || redirect_uri == nullptr || verifier == nullptr) {
    return stop(
        oauth_error(400, "invalid_request", "code, redirect_uri and code_verifier are needed"));
  }
  const std::string hash = authorization_code_hash(*presented);
  const auto seen = ports_.sign_ins.find_code(hash, call.now_s);
  if (!seen) return broken("looking up a code", seen.error());
  const store::AuthorizationCode& code = seen->code;
  const auto refuse = [&](std::string_view cause) {
    auto event = denied_event(call, code.organization.view(), cause);
    event.actor = code.user;
    if (cause == "code_reused") event.severity = "high";
    return stop(refused(std::move(event), invalid_grant()));
  };
  if (seen->state == store::RefreshState::unknown || code.client_id != call.client.id)
    return stop(refused(denied_event(call, "", "code_unknown"), invalid_grant()));
  if (code.redirect_uri != *redirect_uri) return refuse("code_redirect");
  if (!proves(*verifier, code.challenge)) return refuse("code_verifier");
  if (seen->state == store::RefreshState::expired) return refuse("code_expired");

  const auto at = home(call, code.organization.view());
  if (!at) return stop(at.error());
  const auto user = ports_.directory.find_user(code.user);
  if (!user) return broken("looking up a user", user.error());
  if (!*user || !(*user)->active) return refuse("disabled");
  auto rights = rights_of(**user, call.client, *at);
  if (!rights) return stop(std::move(rights).error());
  if (auto narrowed = narrow(*rights, code.scope); !narrowed)
    return stop(std::move(narrowed).error());
  store::CodeRedemption redemption{
      .family = new_family(call, code.user, code.organization, code.scope, code.session)};
  rights->session = store::sign_in_id(redemption.family);
  auto token = access_token(call, *rights, redemption.token_id);
  if (!token) return stop(std::move(token).error());
  std::string identity;
  if (code.openid) {
    auto made = id_token(call, code);
    if (!made) return stop(std::move(made).error());
    identity = std::move(*made);
  }
  std::string refresh_token;
  if (call.client.refresh_token) {
    refresh_token = new_refresh_token();
    redemption.first = {.hash = refresh_token_hash(refresh_token),
                        .expires_at = call.now_s + options_.refresh_token_s};
  }
  const auto state = ports_.sign_ins.redeem_code(hash, redemption, call.now_s, [&] {
    return evidence_.record({issued_event(call, *rights, redemption.token_id)});
  });
  if (!state) return broken("redeeming a code", state.error());
  if (*state == store::RefreshState::reused) return refuse("code_reused");
  if (*state == store::RefreshState::revoked) return refuse("signed_out");
  if (*state != store::RefreshState::live) return refuse("code_expired");
  return answer(call, *rights, std::move(*token), refresh_token, identity);
}

// OpenID Connect Core 1.0 section 2. It says who signed in where, by identifiers alone.
std::expected<std::string, http::Response> TokenEndpoint::id_token(
    const Call& call, const store::AuthorizationCode& code) const {
  const auto keys = keys_.keys();
  const token::TokenSigner* signer = keys == nullptr ? nullptr : keys->signer(call.now_s);
  if (signer == nullptr) return std::unexpected(unavailable());
  nlohmann::json claims = {{"iss", options_.url},
                           {"sub", code.user.text()},
                           {"aud", code.client_id},
                           {"iat", call.now_s},
                           {"exp", call.now_s + kIdTokenS},
                           {"auth_time", code.signed_in_at},
                           {"org", code.organization.text()},
                           {"region", options_.region.text()}};
  if (!code.nonce.empty()) claims["nonce"] = code.nonce;
  auto token = signer->sign_json(
      "JWT", claims.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (!token) {
    log_error("issuer", "signing: " + token.error().message);
    return std::unexpected(unavailable());
  }
  return std::move(*token);
}

store::RefreshFamily TokenEndpoint::new_family(const Call& call, const domain::UserId& user,
                                               const domain::OrgKey& organization,
                                               std::vector<domain::Permission> scope,
                                               std::string session) const {
  return {.id = crypto::random_text(16),
          .user = user,
          .client_id = call.client.id,
          .organization = organization,
          .scope = std::move(scope),
          .created_at = call.now_s,
          .expires_at = call.now_s + options_.refresh_family_s,
          .session = std::move(session)};
}

}  // namespace domicile::issuer
