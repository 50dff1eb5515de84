// What becomes of a token once it is out: called back, or asked about.
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "issuer/token_call.h"
#include "issuer/token_endpoint.h"
#include "token/token_verifier.h"

namespace domicile::issuer {
namespace {

std::string joined(const auto& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : " ") + name.text();
  return out;
}

}  // namespace

Result<domain::Principal> TokenEndpoint::read_access_token(const Call& call,
                                                           std::string_view token) const {
  const auto keys = keys_.keys();
  if (keys == nullptr) return fail(Code::unavailable, "there are no signing keys");
  token::TokenVerifier verifier({.audience = options_.audience},
                                {{options_.url, options_.region, keys->published}});
  auto principal = TRY(verifier.verify(token, call.now_s));
  if (revocations_.current()->covers(principal))
    return fail(Code::unauthenticated, "the token was called back");
  return principal;
}

Result<void> TokenEndpoint::call_back(const store::RefreshFamily& family, std::int64_t now_s) {
  TRY(ports_.sign_ins.revoke({.kind = store::Revocation::Kind::session,
                              .subject = store::sign_in_id(family),
                              .issued_before = now_s,
                              .expires_at = now_s + options_.access_token_s + kTokenSkewS},
                             now_s));
  // The other nodes hear of it within a second; this one at once.
  if (auto told = revocations_.refresh(); !told)
    log_warning("issuer", "reading revocations: " + told.error().message);
  return {};
}

http::Response TokenEndpoint::answer_revoke(const http::Request& request) {
  auto call = open(request);
  if (!call) return std::move(call).error();
  const std::string* token = form_value(call->form, "token");
  if (token == nullptr) return oauth_error(400, "invalid_request", "token is missing");
  auto event = evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, request);
  event.operation = "oauth2.revoke";
  event.resource = "client:" + call->client.id;

  const std::string hash = refresh_token_hash(*token);
  const auto found = ports_.directory.find_refresh(hash, call->now_s);
  if (!found) return unavailable();
  // Somebody else's token, or none at all: the same answer (RFC 7009 section 2.2).
  if (found->state != store::RefreshState::unknown && found->family.client_id == call->client.id) {
    if (!ports_.directory.revoke_refresh(hash, "client", call->now_s) ||
        !call_back(found->family, call->now_s))
      return unavailable();
    event.actor = found->family.user;
    event.organization = found->family.organization;
    if (!evidence_.record({std::move(event)})) return unavailable();
  } else if (const auto principal = read_access_token(*call, *token);
             principal && principal->client_id == call->client.id) {
    const store::Revocation revocation{.kind = store::Revocation::Kind::token,
                                       .subject = principal->token_id,
                                       .issued_before = call->now_s,
                                       .expires_at = principal->expires_at + kTokenSkewS};
    if (!ports_.sign_ins.revoke(revocation, call->now_s)) return unavailable();
    event.actor = principal->subject;
    event.organization = principal->organization;
    event.details = {{"jti", principal->token_id}};
    if (!evidence_.record({std::move(event)})) return unavailable();
    // The other nodes hear of it within a second; this one at once.
    if (auto told = revocations_.refresh(); !told)
      log_warning("issuer", "reading revocations: " + told.error().message);
  }
  return http::json_response(200, "{}");
}

http::Response TokenEndpoint::answer_introspect(const http::Request& request) {
  auto call = open(request);
  if (!call) return std::move(call).error();
  if (call->client.secret_hash.empty()) return invalid_client();
  const std::string* token = form_value(call->form, "token");
  if (token == nullptr) return oauth_error(400, "invalid_request", "token is missing");
  const auto inactive = [] { return http::json_response(200, R"({"active":false})"); };

  const auto principal = read_access_token(*call, *token);
  if (!principal) {
    return principal.error().code == Code::unavailable ? unavailable() : inactive();
  }
  const bool mine = call->client.organization
                        ? *call->client.organization == principal->organization
                        : call->client.id == principal->client_id;
  const auto at = call->snapshot->find(principal->organization.view());
  if (!mine || !at || !at->homed_in(options_.region.view()) ||
      at->state != domain::PlacementState::active || principal->epoch < at->epoch)
    return inactive();
  const nlohmann::json body = {{"active", true},
                               {"token_type", "Bearer"},
                               {"iss", principal->issuer},
                               {"aud", options_.audience},
                               {"sub", principal->subject.text()},
                               {"client_id", principal->client_id},
                               {"scope", joined(principal->permissions)},
                               {"exp", principal->expires_at},
                               {"iat", principal->issued_at},
                               {"jti", principal->token_id},
                               {"org", principal->organization.text()},
                               {"region", principal->region.text()},
                               {"epoch", principal->epoch}};
  return http::json_response(200, body.dump());
}

}  // namespace domicile::issuer
