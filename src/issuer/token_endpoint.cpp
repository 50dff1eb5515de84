#include "issuer/token_endpoint.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "crypto/random.h"
#include "issuer/scope.h"
#include "issuer/token_call.h"

namespace domicile::issuer {
namespace {

constexpr std::size_t kBodyBytesMax = 8192;
constexpr std::int64_t kAheadMaxS = 20;  // doors allow 30 seconds between clocks

http::Response invalid_request(std::string_view what) {
  return oauth_error(400, "invalid_request", what);
}

bool is_form(const http::Request& request) {
  constexpr std::string_view kForm = "application/x-www-form-urlencoded";
  const auto type = request.header("content-type");
  if (!type) return false;
  std::string_view media = type->substr(0, type->find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  return std::ranges::equal(
      media, kForm, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

}  // namespace

http::Response unavailable() {
  return retry_later(503, "temporarily_unavailable", "try again in a moment",
                     std::chrono::seconds(2));
}

TokenEndpoint::TokenEndpoint(const IssuerOptions& options, const IssuerPorts& ports,
                             const RoleBook& roles, const Locator& locator, KeyRing& keys,
                             PasswordCheck& passwords, RevocationList& revocations,
                             ExternalIdentities& external, Throttle& addresses)
    : options_(options),
      ports_(ports),
      roles_(roles),
      locator_(locator),
      keys_(keys),
      passwords_(passwords),
      revocations_(revocations),
      external_(external),
      evidence_(ports.events, ports.clock, options.region),
      addresses_(addresses) {}

// Shape, throttle and client, in this order: nothing is looked up for a request that is malformed.
std::expected<TokenEndpoint::Call, http::Response> TokenEndpoint::open(
    const http::Request& request) {
  const auto stop = [](http::Response answer) { return std::unexpected(std::move(answer)); };
  if (request.method != "POST") {
    auto answer = invalid_request("use POST");
    answer.status = 405;
    answer.headers.emplace_back("allow", "POST");
    return stop(std::move(answer));
  }
  if (!request.query.empty())
    return stop(invalid_request("parameters belong in the body, not in the address"));
  if (!is_form(request)) return stop(invalid_request("send application/x-www-form-urlencoded"));
  if (request.body.size() > kBodyBytesMax)
    return stop(oauth_error(413, "invalid_request", "the body is too long"));
  auto form = http::parse_form(request.body);
  if (!form) return stop(invalid_request("the form is malformed, or names a parameter twice"));
  const std::string address = throttle_address(request.peer_ip);
  if (const auto wait = addresses_.take(address)) {
    return stop(retry_later(429, "slow_down", "too many failed attempts", *wait));
  }
  auto presented = read_client(request, *form);
  if (!presented) return stop(std::move(presented).error());
  auto client = ports_.directory.find_client(presented->id);
  if (!client) {
    log_error("issuer", "looking up a client: " + client.error().message);
    return stop(unavailable());
  }
  Call call{.request = request,
            .form = std::move(*form),
            .client = client->value_or(store::ClientAccount{}),
            .snapshot = ports_.snapshot(),
            .now_s = ports_.clock.unix_seconds(),
            .lifetime_s = options_.access_token_s,
            .grant_type = {},
            .scope = {}};
  if (!proves(*client, *presented)) {
    call.client.id.clear();
    return stop(refused(denied_event(call, "", "client"), invalid_client()));
  }
  return call;
}

http::Response TokenEndpoint::throttled(
    const http::Request& request, http::Response (TokenEndpoint::*answer)(const http::Request&)) {
  auto out = (this->*answer)(request);
  // Only refusals cost the address something: not success, not our own trouble.
  if (out.status == 200 || out.status >= 500)
    addresses_.put_back(throttle_address(request.peer_ip));
  return out;
}

http::Response TokenEndpoint::token(const http::Request& request) {
  return throttled(request, &TokenEndpoint::answer_token);
}

http::Response TokenEndpoint::revoke(const http::Request& request) {
  return throttled(request, &TokenEndpoint::answer_revoke);
}

http::Response TokenEndpoint::introspect(const http::Request& request) {
  return throttled(request, &TokenEndpoint::answer_introspect);
}

http::Response TokenEndpoint::answer_token(const http::Request& request) {
  auto call = open(request);
  if (!call) return std::move(call).error();
  const std::string* grant_type = form_value(call->form, "grant_type");
  if (grant_type == nullptr) return invalid_request("grant_type is missing");
  call->grant_type = *grant_type;
  const std::string* wanted = form_value(call->form, "scope");
  auto scope = parse_scope(wanted == nullptr ? "" : *wanted);
  if (!scope) return oauth_error(400, "invalid_scope", kInvalidScope);
  call->scope = std::move(scope->permissions);

  struct GrantType {
    std::string_view name;
    bool store::ClientAccount::* allowed;
    Answer (TokenEndpoint::*run)(Call&);
  };
  static constexpr GrantType kGrantTypes[] = {
      {"client_credentials", &store::ClientAccount::client_credentials,
       &TokenEndpoint::client_credentials},
      {"password", &store::ClientAccount::password, &TokenEndpoint::password},
      {"refresh_token", &store::ClientAccount::refresh_token, &TokenEndpoint::refresh},
      {"authorization_code", &store::ClientAccount::authorization_code, &TokenEndpoint::code},
      {"urn:ietf:params:oauth:grant-type:token-exchange", &store::ClientAccount::token_exchange,
       &TokenEndpoint::exchange}};
  for (const GrantType& known : kGrantTypes) {
    if (known.name != call->grant_type) continue;
    if (!(call->client.*known.allowed)) {
      return oauth_error(400, "unauthorized_client", "this client may not use this grant type");
    }
    auto answer = (this->*known.run)(*call);
    return answer ? std::move(*answer) : std::move(answer).error();
  }
  return oauth_error(400, "unsupported_grant_type", "not a grant type of this issuer");
}

domain::Event TokenEndpoint::denied_event(const Call& call, std::string_view organization,
                                          std::string_view cause) const {
  return evidence_.refused(call.request, call.client.id, organization, cause, call.grant_type);
}

// The refusal, once it is on record.
http::Response TokenEndpoint::refused(domain::Event event, http::Response answer) {
  if (auto stored = evidence_.record({std::move(event)}); !stored) {
    log_error("issuer", "recording a refusal: " + stored.error().message);
    return unavailable();
  }
  return answer;
}

domain::Event TokenEndpoint::issued_event(const Call& call, const Rights& rights,
                                          std::string_view token_id) const {
  auto event =
      evidence_.event(domain::EventKind::token_issued, domain::Outcome::allowed, call.request);
  event.organization = domain::OrgKey(rights.organization.key);
  event.actor = rights.subject;
  event.epoch = rights.organization.epoch;
  event.resource = "client:" + call.client.id;
  std::string scope;
  for (const auto& permission : rights.permissions)
    scope += (scope.empty() ? "" : " ") + permission.text();
  std::string grants;
  for (const auto& grant : rights.grants) grants += (grants.empty() ? "" : " ") + grant.id;
  event.details = {
      {"jti", std::string(token_id)}, {"grant_type", call.grant_type}, {"scope", std::move(scope)}};
  if (!grants.empty()) event.details.emplace_back("grants", std::move(grants));
  return event;
}

std::expected<std::string, http::Response> TokenEndpoint::access_token(const Call& call,
                                                                       const Rights& rights,
                                                                       std::string& id) {
  const auto keys = keys_.keys();
  const token::TokenSigner* signer = keys == nullptr ? nullptr : keys->signer(call.now_s);
  if (signer == nullptr) {
    log_error("issuer", "there is no active signing key");
    return std::unexpected(unavailable());
  }
  // A token says in which second it was made. One that follows a revocation is dated after it, so
  // that whoever signs in anew need not wait for the next second; doors allow more than that.
  const auto revoked =
      ports_.sign_ins.revoked_until(rights.subject, domain::OrgKey(rights.organization.key));
  if (!revoked) {
    log_error("issuer", "reading revocations: " + revoked.error().message);
    return std::unexpected(unavailable());
  }
  const std::int64_t issued_at =
      std::max(call.now_s, std::min(*revoked + 1, call.now_s + kAheadMaxS));
  id = crypto::random_text(16);
  auto token = signer->sign({.issuer = options_.url,
                             .audience = options_.audience,
                             .client_id = call.client.id,
                             .subject = rights.subject,
                             .organization = domain::OrgKey(rights.organization.key),
                             .region = options_.region,
                             .epoch = rights.organization.epoch,
                             .roles = rights.roles,
                             .permissions = rights.permissions,
                             .grants = rights.grants,
                             .token_id = id,
                             .session = rights.session,
                             .issued_at = issued_at,
                             .expires_at = call.now_s + call.lifetime_s});
  if (!token) {
    log_error("issuer", "signing: " + token.error().message);
    return std::unexpected(unavailable());
  }
  return std::move(*token);
}

http::Response TokenEndpoint::answer(const Call& call, const Rights& rights, std::string token,
                                     std::string_view refresh_token,
                                     std::string_view id_token) const {
  std::string scope;
  for (const auto& permission : rights.permissions)
    scope += (scope.empty() ? "" : " ") + permission.text();
  nlohmann::json body = {{"access_token", std::move(token)},
                         {"token_type", "Bearer"},
                         {"expires_in", call.lifetime_s},
                         {"scope", std::move(scope)}};
  if (!refresh_token.empty()) body["refresh_token"] = refresh_token;
  if (!id_token.empty()) body["id_token"] = id_token;
  auto out = http::json_response(200, body.dump());
  out.headers.emplace_back("pragma", "no-cache");
  return out;
}

}  // namespace domicile::issuer
