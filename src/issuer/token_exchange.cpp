// grant_type=urn:ietf:params:oauth:grant-type:token-exchange (RFC 8693): a token of an external
// identity provider becomes an access token of this region.
//
// A provider is bound to this region by being configured here, and to organizations by its rules.
// A token for an organization that is homed elsewhere is a cross-region attempt, and recorded as
// one, without the person.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/sha256.h"
#include "issuer/token_call.h"
#include "issuer/token_endpoint.h"

namespace domicile::issuer {
namespace {

constexpr std::string_view kAccessToken = "urn:ietf:params:oauth:token-type:access_token";
constexpr std::string_view kIdToken = "urn:ietf:params:oauth:token-type:id_token";
constexpr std::string_view kJwt = "urn:ietf:params:oauth:token-type:jwt";

std::unexpected<http::Response> stop(http::Response answer) {
  return std::unexpected(std::move(answer));
}

std::unexpected<http::Response> invalid_request(std::string_view what) {
  return stop(oauth_error(400, "invalid_request", what));
}

// Always the same for a person of a provider, and no name of it: it stands in events and in the
// application's rows.
domain::UserId subject_of(const token::ExternalIdentity& identity) {
  const auto digest = crypto::sha256(identity.issuer + '\n' + identity.subject);
  return domain::UserId("x_" + to_base64url(crypto::view(digest).substr(0, 16)));
}

}  // namespace

TokenEndpoint::Answer TokenEndpoint::exchange(Call& call) {
  const std::string* subject_token = form_value(call.form, "subject_token");
  const std::string* type = form_value(call.form, "subject_token_type");
  if (subject_token == nullptr || type == nullptr)
    return invalid_request("subject_token and subject_token_type are needed");
  if (*type != kAccessToken && *type != kIdToken && *type != kJwt)
    return invalid_request("subject_token_type is access_token, id_token or jwt");
  if (form_value(call.form, "actor_token") != nullptr)
    return invalid_request("actor_token is not supported");
  if (const std::string* wanted = form_value(call.form, "requested_token_type");
      wanted != nullptr && *wanted != kAccessToken && *wanted != kJwt)
    return invalid_request("the only requested_token_type is access_token");

  const auto identity = external_.verify(*subject_token, call.now_s);
  if (!identity)
    return stop(refused(denied_event(call, "", identity.error().reason), invalid_grant()));
  const auto found = call.snapshot->find(identity->organization.view());
  if (found && !found->homed_in(options_.region.view())) {
    auto event = evidence_.wrong_region(found->key, call.request);
    event.reason = "cross_region_token";
    event.severity = "high";
    return stop(refused(std::move(event), wrong_region(found->home->url)));
  }
  const auto at = home(call, identity->organization.view());
  if (!at) return stop(at.error());
  const auto own = ports_.directory.roles_of(identity->organization);
  if (!own) {
    log_error("issuer", "reading roles: " + own.error().message);
    return stop(unavailable());
  }
  Rights rights{.subject = subject_of(*identity),
                .organization = *at,
                .roles = identity->roles,
                .permissions = roles_.permissions(identity->roles, *own),
                .grants = {}};
  limit(rights, call.client);
  if (auto narrowed = narrow(rights, call.scope); !narrowed)
    return stop(std::move(narrowed).error());
  call.lifetime_s = std::min(options_.access_token_s, identity->expires_at - call.now_s);
  if (call.lifetime_s <= 0)
    return stop(refused(denied_event(call, at->key, "token_expired"), invalid_grant()));
  std::string id;
  auto token = access_token(call, rights, id);
  if (!token) return stop(std::move(token).error());
  auto signed_in =
      evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, call.request);
  signed_in.organization = identity->organization;
  signed_in.actor = rights.subject;
  signed_in.resource = "client:" + call.client.id;
  signed_in.epoch = at->epoch;
  signed_in.details = {{"external_issuer", identity->issuer}};
  if (auto stored = evidence_.record({std::move(signed_in), issued_event(call, rights, id)});
      !stored) {
    log_error("issuer", "recording an exchange: " + stored.error().message);
    return stop(unavailable());
  }
  auto out = answer(call, rights, std::move(*token), "");
  auto body = nlohmann::json::parse(out.body);
  body["issued_token_type"] = kAccessToken;
  out.body = body.dump();
  return out;
}

}  // namespace domicile::issuer
