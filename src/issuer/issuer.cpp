#include "issuer/issuer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "issuer/authorization_endpoint.h"
#include "issuer/discovery.h"
#include "issuer/oauth_answer.h"
#include "issuer/token_endpoint.h"

namespace domicile::issuer {
namespace {

// A revocation, or another signing key, reaches this node within it.
constexpr std::chrono::milliseconds kTick{500};
constexpr std::chrono::seconds kOutbox{2};
constexpr std::string_view kJwksMaxAge = "public, max-age=300";

http::Response only_get(const http::Request& request) {
  auto answer = http::problem(405, "method_not_allowed", "use GET", request);
  answer.headers.emplace_back("allow", "GET, HEAD");
  return answer;
}

bool reads(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

Result<void> check(const IssuerOptions& options) {
  if (!options.url.starts_with("https://") && !options.url.starts_with("http://")) {
    return fail(Code::invalid, "the issuer's URL starts with https://");
  }
  if (options.url.ends_with('/'))
    return fail(Code::invalid, "the issuer's URL has no slash at its end");
  if (options.locator_key.reveal().size() < 16)
    return fail(Code::invalid, "the locator key has 16 bytes or more");
  if (options.form_key.reveal().size() < 16)
    return fail(Code::invalid, "the form key has 16 bytes or more");
  if (options.access_token_s < 10 || options.access_token_s > 24 * 3600) {
    return fail(Code::invalid, "access tokens live 10 seconds to 24 hours");
  }
  if (options.keys.linger_s < options.access_token_s + 60) {
    return fail(Code::invalid, "signing keys must linger longer than the tokens that they signed");
  }
  if (options.keys.preferred != crypto::Algorithm::es256 &&
      options.keys.preferred != crypto::Algorithm::eddsa) {
    return fail(Code::invalid, "the issuer signs with ES256 or EdDSA");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Issuer>> Issuer::create(IssuerOptions options, IssuerPorts ports,
                                               RoleBook roles,
                                               std::vector<token::ExternalIssuer> external,
                                               crypto::SealingKey sealing_key) {
  TRY(check(options));
  return std::unique_ptr<Issuer>(new Issuer(std::move(options), std::move(ports), std::move(roles),
                                            std::move(external), std::move(sealing_key)));
}

Issuer::Issuer(IssuerOptions options, IssuerPorts ports, RoleBook roles,
               std::vector<token::ExternalIssuer> external, crypto::SealingKey sealing_key)
    : options_(std::move(options)),
      ports_(std::move(ports)),
      roles_(std::move(roles)),
      locator_(options_.locator_key, ports_.hash_domain),
      keys_(ports_.directory, std::move(sealing_key), ports_.clock, options_.keys),
      hasher_(options_.password),
      passwords_(options_, ports_, hasher_),
      revocations_(ports_.sign_ins, ports_.clock),
      external_(std::move(external)),
      discoveries_(options_.discovery, ports_.clock),
      addresses_(options_.address, ports_.clock),
      evidence_(ports_.events, ports_.clock, options_.region),
      tokens_(std::make_unique<TokenEndpoint>(options_, ports_, roles_, locator_, keys_, passwords_,
                                              revocations_, external_, addresses_)),
      authorization_(std::make_unique<AuthorizationEndpoint>(
          options_, ports_, locator_, passwords_, revocations_, discoveries_, addresses_)) {}

Issuer::~Issuer() { stop(); }

void Issuer::on_keys(KeyRing::Changed changed) { keys_.on_change(std::move(changed)); }

void Issuer::on_revocations(RevocationList::Changed changed) {
  revocations_.on_change(std::move(changed));
}

void Issuer::start() {
  if (auto loaded = keys_.refresh(); !loaded)
    log_error("issuer", "loading the signing keys: " + loaded.error().message);
  if (auto loaded = revocations_.refresh(); !loaded)
    log_error("issuer", "reading revocations: " + loaded.error().message);
  refresher_ =
      std::jthread([this](std::stop_token stopped) { refresh_until_stopped(std::move(stopped)); });
}

void Issuer::stop() {
  if (!refresher_.joinable()) return;
  refresher_.request_stop();
  refresher_.join();
}

void Issuer::refresh_until_stopped(std::stop_token stopped) {
  SteadyTime outbox_due = ports_.clock.steady();
  // Said when it begins and when it is over, not twice a second.
  const auto note = [](bool& failing, std::string_view doing, const Result<void>& done) {
    if (!done && !failing) log_warning("issuer", std::string(doing) + ": " + done.error().message);
    if (done && failing) log_info("issuer", std::string(doing) + ": works again");
    failing = !done;
  };
  bool no_revocations = false, no_outbox = false, no_keys = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, stopped, kTick, [] { return false; });
    if (stopped.stop_requested()) return;
    note(no_revocations, "reading revocations", revocations_.refresh());
    note(no_keys, "refreshing the signing keys", keys_.refresh());
    if (ports_.clock.steady() >= outbox_due) {
      outbox_due = ports_.clock.steady() + kOutbox;
      note(no_outbox, "recording administrators' changes", drain_outbox());
    }
  }
}

Result<void> Issuer::drain_outbox() {
  constexpr int kAtOnce = 100;
  for (int taken = kAtOnce; taken == kAtOnce;) {
    taken = TRY(ports_.directory.drain_outbox(kAtOnce, [this](std::vector<domain::Event> events) {
      for (auto& event : events) event.region = options_.region;
      return evidence_.record(std::move(events));
    }));
  }
  return {};
}

http::Response Issuer::handle(const http::Request& request) {
  if (request.path == "/oauth2/token") return tokens_->token(request);
  if (request.path == "/oauth2/revoke") return tokens_->revoke(request);
  if (request.path == "/oauth2/introspect") return tokens_->introspect(request);
  if (request.path == "/oauth2/authorize") return authorization_->authorize(request);
  if (request.path == "/oauth2/logout") return authorization_->sign_out(request);
  if (request.path == "/v1/discovery") return discovery(request);
  if (request.path == "/.well-known/openid-configuration") return metadata(request);
  if (request.path == "/.well-known/jwks.json") return jwks(request);
  return http::problem(404, "not_found", "the issuer has no such address", request);
}

http::Response Issuer::metadata(const http::Request& request) const {
  if (!reads(request)) return only_get(request);
  const auto at = [this](std::string_view path) { return options_.url + std::string(path); };
  const nlohmann::json document = {
      {"issuer", options_.url},
      {"authorization_endpoint", at("/oauth2/authorize")},
      {"token_endpoint", at("/oauth2/token")},
      {"revocation_endpoint", at("/oauth2/revoke")},
      {"introspection_endpoint", at("/oauth2/introspect")},
      {"end_session_endpoint", at("/oauth2/logout")},
      {"jwks_uri", at("/.well-known/jwks.json")},
      {"grant_types_supported",
       {"authorization_code", "client_credentials", "password", "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange"}},
      {"response_types_supported", {"code"}},
      {"response_modes_supported", {"query"}},
      {"code_challenge_methods_supported", {"S256"}},
      {"prompt_values_supported", {"none", "login", "select_account"}},
      {"scopes_supported", {"openid"}},
      {"authorization_response_iss_parameter_supported", true},
      {"request_parameter_supported", false},
      {"request_uri_parameter_supported", false},
      {"subject_types_supported", {"public"}},
      {"id_token_signing_alg_values_supported", {"ES256", "EdDSA"}},
      {"token_endpoint_auth_methods_supported",
       {"client_secret_basic", "client_secret_post", "none"}},
      {"revocation_endpoint_auth_methods_supported",
       {"client_secret_basic", "client_secret_post", "none"}},
      {"introspection_endpoint_auth_methods_supported",
       {"client_secret_basic", "client_secret_post"}},
      {"claims_supported",
       {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "org", "region", "epoch",
        "roles", "scope", "grants", "sid", "auth_time", "nonce"}},
      {"domicile_discovery_endpoint", at("/v1/discovery")},
      {"domicile_region", options_.region.text()}};
  return {200,
          {{"content-type", "application/json"}, {"cache-control", std::string(kJwksMaxAge)}},
          request.method == "HEAD" ? "" : document.dump()};
}

http::Response Issuer::jwks(const http::Request& request) const {
  if (!reads(request)) return only_get(request);
  const auto keys = keys_.keys();
  if (keys == nullptr) {
    auto answer =
        http::problem(503, "keys_unavailable", "the signing keys are not loaded yet", request);
    answer.headers.emplace_back("retry-after", fmt::format("{}", kTick.count()));
    return answer;
  }
  return {
      200,
      {{"content-type", "application/jwk-set+json"}, {"cache-control", std::string(kJwksMaxAge)}},
      request.method == "HEAD" ? "" : keys->published->to_json()};
}

http::Response Issuer::discovery(const http::Request& request) {
  if (request.method != "POST") {
    auto answer = http::problem(405, "method_not_allowed", "use POST", request);
    answer.headers.emplace_back("allow", "POST");
    return answer;
  }
  if (const auto wait = discoveries_.take(throttle_address(request.peer_ip))) {
    auto answer = http::problem(429, "slow_down", "too many questions", request);
    answer.headers.emplace_back("retry-after", fmt::format("{}", wait->count()));
    return answer;
  }
  return discover(request, *ports_.snapshot(), locator_);
}

}  // namespace domicile::issuer
