#include "issuer/authorization_endpoint.h"

#include <fmt/format.h>

#include "base/log.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "issuer/discovery.h"
#include "issuer/redirect_uri.h"
#include "issuer/sign_in_page.h"
#include "issuer/token_call.h"

namespace domicile::issuer {
namespace {

using domain::PlacementState;
using Prompt = AuthorizeRequest::Prompt;

constexpr std::size_t kQueryBytesMax = 8192;
constexpr std::string_view kPath = "/oauth2/authorize";
constexpr std::string_view kMalformed = "The link that brought you here is malformed.";

std::string hash_of(std::string_view secret) {
  return std::string(crypto::view(crypto::sha256(secret)));
}

http::Response try_again_page() {
  auto page = message_page(503, "One moment", "Signing in does not work just now. Try again.");
  page.headers.emplace_back("retry-after", "2");
  return page;
}

http::Response broken(std::string_view doing, const Error& error) {
  log_error("issuer", std::string(doing) + ": " + error.message);
  return try_again_page();
}

std::string lower(std::string_view text) {
  std::string out;
  for (const char c : text) out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  return out;
}

}  // namespace

struct AuthorizationEndpoint::Visit {
  const http::Request& request;
  Form parameters;
  std::shared_ptr<const domain::RegistrySnapshot> snapshot;
  std::int64_t now_s = 0;
  std::string browser;  // its cookie, or a new one
  bool new_browser = true;
  std::string organization_typed;                        // "" when the query names none
  std::optional<domain::OrganizationView> organization;  // homed here; absent: nobody has the name
  std::optional<store::BrowserSession> session;
};

AuthorizationEndpoint::AuthorizationEndpoint(const IssuerOptions& options, const IssuerPorts& ports,
                                             const Locator& locator, PasswordCheck& passwords,
                                             RevocationList& revocations, Throttle& questions,
                                             Throttle& addresses)
    : options_(options),
      ports_(ports),
      locator_(locator),
      passwords_(passwords),
      revocations_(revocations),
      questions_(questions),
      addresses_(addresses),
      evidence_(ports.events, ports.clock, options.region),
      cookies_(options.url.starts_with("https://")),
      forms_(options.form_key) {}

http::Response AuthorizationEndpoint::authorize(const http::Request& request) {
  if (request.method != "GET" && request.method != "POST") {
    auto page = message_page(405, "Sign in", kMalformed);
    page.headers.emplace_back("allow", "GET, POST");
    return page;
  }
  auto visit = open(request);
  if (!visit) return std::move(visit).error();
  return request.method == "GET" ? show(*visit) : sign_in(*visit);
}

AuthorizationEndpoint::Or<AuthorizationEndpoint::Visit> AuthorizationEndpoint::open(
    const http::Request& request) {
  auto parameters =
      request.query.size() <= kQueryBytesMax ? http::parse_form(request.query) : std::nullopt;
  if (!parameters) return std::unexpected(message_page(400, "Sign in", kMalformed));
  Visit visit{.request = request,
              .parameters = std::move(*parameters),
              .snapshot = ports_.snapshot(),
              .now_s = ports_.clock.unix_seconds(),
              .browser = cookies_.browser(request),
              .new_browser = false,
              .organization_typed = {},
              .organization = {},
              .session = {}};
  if (visit.browser.empty()) {
    visit.browser = crypto::random_text(16);
    visit.new_browser = true;
  }
  if (auto located = locate(visit); !located) return std::unexpected(std::move(located).error());
  if (const std::string secret = cookies_.session(request); !secret.empty()) {
    auto session = ports_.sign_ins.find_session(hash_of(secret), visit.now_s);
    if (!session) return std::unexpected(broken("looking up a session", session.error()));
    visit.session = std::move(*session);
  }
  return visit;
}

// To the organization's home, before anything else is asked.
AuthorizationEndpoint::Or<void> AuthorizationEndpoint::locate(Visit& visit) {
  const std::string* typed = form_value(visit.parameters, "organization");
  if (typed == nullptr || typed->empty()) return {};
  const std::string name = lower(*typed);
  const auto ask = [&](std::string_view error) {
    return std::unexpected(ask_organization(visit, error, 400));
  };
  if (name.contains('@'))
    return ask("Enter your organization's name or domain, not an e-mail address.");
  if (const auto wait = questions_.take(throttle_address(visit.request.peer_ip))) {
    auto page = ask_organization(
        visit, fmt::format("Too many tries. Wait {} seconds and try again.", wait->count()), 429);
    page.headers.emplace_back("retry-after", fmt::format("{}", wait->count()));
    return std::unexpected(std::move(page));
  }
  const std::string domain_name = canonical_domain(name);
  if (domain_name.empty() && !domain::parse_org_key(name))
    return ask("This is not the name of an organization: it has letters, digits and hyphens.");
  auto located = locator_.by_name(*visit.snapshot, name);
  if (!domain_name.empty() && !(located && located->organization))
    located = locator_.by_domain(*visit.snapshot, domain_name);
  if (!located) return std::unexpected(try_again_page());
  if (located->region->id != options_.region) {
    return std::unexpected(
        see_other(fmt::format("{}{}?{}", located->region->url, kPath, visit.request.query)));
  }
  visit.organization_typed = *typed;
  visit.organization = located->organization;
  return {};
}

AuthorizationEndpoint::Or<AuthorizeRequest> AuthorizationEndpoint::identify(const Visit& visit) {
  const std::string* id = form_value(visit.parameters, "client_id");
  std::optional<store::ClientAccount> client;
  if (id != nullptr) {
    auto found = ports_.directory.find_client(*id);
    if (!found) return std::unexpected(broken("looking up a client", found.error()));
    client = std::move(*found);
  }
  auto wanted = identify_client(visit.parameters, client);
  if (!wanted) return std::unexpected(message_page(400, "Sign in", wanted.error()));
  if (auto read = read_parameters(visit.parameters, *client, *wanted); !read)
    return std::unexpected(refuse(*wanted, read.error()));
  return std::move(*wanted);
}

http::Response AuthorizationEndpoint::show(Visit& visit) {
  const std::string* prompt = form_value(visit.parameters, "prompt");
  const bool silent = prompt != nullptr && *prompt == "none";
  if (visit.organization_typed.empty() && !visit.session && !silent)
    return ask_organization(visit, "", 200);
  const auto wanted = identify(visit);
  if (!wanted) return wanted.error();
  const bool same =
      visit.session &&
      (visit.organization_typed.empty() ||
       (visit.organization && visit.session->organization.view() == visit.organization->key));
  const bool fresh = same && (!wanted->max_age_s ||
                              visit.now_s - visit.session->signed_in_at <= *wanted->max_age_s);
  if (fresh && wanted->prompt != Prompt::login)
    return finish(visit, *wanted, *visit.session, "session");
  if (silent) return refuse(*wanted, {"login_required", "nobody is signed in here"});
  if (visit.organization_typed.empty()) return ask_organization(visit, "", 200);
  return ask_password(visit, *wanted, "", "", 200);
}

http::Response AuthorizationEndpoint::sign_in(Visit& visit) {
  const auto wanted = identify(visit);
  if (!wanted) return wanted.error();
  if (visit.organization_typed.empty()) return ask_organization(visit, "", 200);
  const auto form = http::parse_form(visit.request.body);
  const auto text = [&](std::string_view name) {
    const std::string* value = form ? form_value(*form, name) : nullptr;
    return value == nullptr ? std::string() : *value;
  };
  const auto site = visit.request.header("sec-fetch-site");
  if (!forms_.accepts(text("form"), visit.browser, visit.request.query, visit.now_s) ||
      (site && *site != "same-origin")) {
    return ask_password(visit, *wanted, "This page was open for too long. Please sign in again.",
                        "", 400);
  }
  const std::string login = text("username");
  const std::string address = throttle_address(visit.request.peer_ip);
  if (const auto wait = addresses_.take(address)) return locked(visit, *wanted, login, *wait);
  const auto user = passwords_.check({.request = visit.request,
                                      .client_id = wanted->client_id,
                                      .grant_type = "authorization_code",
                                      .organization_typed = visit.organization_typed,
                                      .organization = visit.organization,
                                      .login_typed = login,
                                      .password = Secret(text("password"))});
  if (!user) {
    switch (user.error().why) {
      case PasswordRefusal::Why::wrong:
        return ask_password(visit, *wanted, "User name or password is wrong.", login, 400);
      case PasswordRefusal::Why::locked: return locked(visit, *wanted, login, user.error().wait);
      case PasswordRefusal::Why::busy:
      case PasswordRefusal::Why::unavailable: break;
    }
    addresses_.put_back(address);  // our own trouble costs nobody anything
    return try_again_page();
  }
  addresses_.put_back(address);
  const std::string secret = crypto::random_text(32);
  const store::BrowserSession session{.hash = hash_of(secret),
                                      .user = user->id,
                                      .organization = user->organization,
                                      .signed_in_at = visit.now_s,
                                      .expires_at = visit.now_s + options_.session_s};
  if (auto at = home(visit, user->organization); !at) return std::move(at).error();
  if (visit.session) {  // whoever was signed in here before is not any more
    if (auto ended = end_session(*visit.session, visit.now_s); !ended)
      return broken("ending a session", ended.error());
  }
  if (auto started = ports_.sign_ins.start_session(session); !started)
    return broken("starting a session", started.error());
  auto answer = finish(visit, *wanted, session, "password");
  if (answer.status == 303) cookies_.set_session(answer, secret);
  return answer;
}

Result<void> AuthorizationEndpoint::end_session(const store::BrowserSession& session,
                                                std::int64_t now_s) {
  TRY(ports_.sign_ins.end_session(session.hash, now_s,
                                  now_s + options_.access_token_s + kTokenSkewS));
  // The other nodes hear of the access tokens within a second; this one at once.
  if (auto told = revocations_.refresh(); !told)
    log_warning("issuer", "reading revocations: " + told.error().message);
  return {};
}

// Only an active organization that is homed here goes on.
AuthorizationEndpoint::Or<domain::OrganizationView> AuthorizationEndpoint::home(
    const Visit& visit, const domain::OrgKey& key) {
  const auto found = visit.snapshot->find(key.view());
  const auto stop = [](int status, std::string_view text) {
    return std::unexpected(message_page(status, "Sign in", text));
  };
  if (!found || found->state == PlacementState::closed)
    return stop(403, "This organization is closed.");
  if (!found->homed_in(options_.region.view()))
    return std::unexpected(
        see_other(fmt::format("{}{}?{}", found->home->url, kPath, visit.request.query)));
  if (found->state == PlacementState::suspended)
    return stop(403, "This organization is suspended. Ask its administrator.");
  if (found->state == PlacementState::moving)
    return stop(503, "This organization is just moving. Try again in a minute.");
  return *found;
}

http::Response AuthorizationEndpoint::finish(const Visit& visit, const AuthorizeRequest& wanted,
                                             const store::BrowserSession& session,
                                             std::string_view method) {
  const auto at = home(visit, session.organization);
  if (!at) return at.error();
  const std::string code = "ac1." + crypto::random_text(32);
  const auto kept = ports_.sign_ins.add_code({.hash = authorization_code_hash(code),
                                              .client_id = wanted.client_id,
                                              .redirect_uri = wanted.redirect_uri,
                                              .challenge = wanted.challenge,
                                              .user = session.user,
                                              .organization = session.organization,
                                              .scope = wanted.scope.permissions,
                                              .openid = wanted.scope.openid,
                                              .nonce = wanted.nonce,
                                              .session = session.hash,
                                              .signed_in_at = session.signed_in_at,
                                              .expires_at = visit.now_s + options_.code_s});
  if (!kept) return broken("storing a code", kept.error());
  auto event = evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, visit.request);
  event.operation = "oauth2.authorize";
  event.organization = session.organization;
  event.actor = session.user;
  event.resource = "client:" + wanted.client_id;
  event.epoch = at->epoch;
  event.details = {{"method", std::string(method)}};
  if (auto stored = evidence_.record({std::move(event)}); !stored)
    return broken("recording a sign-in", stored.error());
  std::vector<std::pair<std::string_view, std::string>> parameters = {{"code", code}};
  if (!wanted.state.empty()) parameters.emplace_back("state", wanted.state);
  parameters.emplace_back("iss", options_.url);
  return see_other(with_parameters(wanted.redirect_uri, parameters));
}

http::Response AuthorizationEndpoint::locked(const Visit& visit, const AuthorizeRequest& wanted,
                                             std::string_view login, std::chrono::seconds wait) {
  auto page = ask_password(
      visit, wanted,
      fmt::format("Too many failed attempts. Try again in {} seconds.", wait.count()), login, 429);
  page.headers.emplace_back("retry-after", fmt::format("{}", wait.count()));
  return page;
}

http::Response AuthorizationEndpoint::refuse(const AuthorizeRequest& wanted,
                                             const AuthorizeError& error) const {
  std::vector<std::pair<std::string_view, std::string>> parameters = {
      {"error", std::string(error.error)}, {"error_description", std::string(error.description)}};
  if (!wanted.state.empty()) parameters.emplace_back("state", wanted.state);
  parameters.emplace_back("iss", options_.url);
  return see_other(with_parameters(wanted.redirect_uri, parameters));
}

http::Response AuthorizationEndpoint::ask_organization(const Visit& visit, std::string_view error,
                                                       int status) {
  OrganizationPage page{.path = std::string(kPath),
                        .parameters = visit.parameters,
                        .error = std::string(error),
                        .destinations = {}};
  std::erase_if(page.parameters, [](const auto& each) { return each.first == "organization"; });
  for (const auto& region : visit.snapshot->regions())
    page.destinations.push_back(source_of(region.url));
  return with_browser(visit, render(page, status));
}

http::Response AuthorizationEndpoint::ask_password(const Visit& visit,
                                                   const AuthorizeRequest& wanted,
                                                   std::string_view error, std::string_view login,
                                                   int status) {
  const SignInPage page{.action = fmt::format("{}?{}", kPath, visit.request.query),
                        .organization = visit.organization_typed,
                        .form_token = forms_.token(visit.browser, visit.request.query, visit.now_s),
                        .login = std::string(login),
                        .error = std::string(error),
                        .destinations = {source_of(wanted.redirect_uri)}};
  return with_browser(visit, render(page, status));
}

http::Response AuthorizationEndpoint::with_browser(const Visit& visit,
                                                   http::Response response) const {
  if (visit.new_browser) cookies_.set_browser(response, visit.browser);
  return response;
}

http::Response AuthorizationEndpoint::sign_out(const http::Request& request) {
  const auto parameters =
      request.query.size() <= kQueryBytesMax ? http::parse_form(request.query) : std::nullopt;
  if ((request.method != "GET" && request.method != "POST") || !parameters)
    return message_page(400, "Sign out", kMalformed);
  const std::int64_t now_s = ports_.clock.unix_seconds();
  const std::string secret = cookies_.session(request);
  if (secret.empty()) return signed_out(*parameters);
  const auto session = ports_.sign_ins.find_session(hash_of(secret), now_s);
  if (!session) return broken("looking up a session", session.error());
  if (!*session) return signed_out(*parameters);

  const std::string browser = cookies_.browser(request);
  const auto form = http::parse_form(request.body);
  const std::string* token = form ? form_value(*form, "form") : nullptr;
  const std::string purpose = "sign out?" + request.query;
  if (request.method == "GET" || token == nullptr ||
      !forms_.accepts(*token, browser, purpose, now_s)) {
    // Nobody is signed out by a link or a picture on somebody's page.
    const std::string known = browser.empty() ? crypto::random_text(16) : browser;
    auto page = render(SignOutPage{.action = "/oauth2/logout?" + request.query,
                                   .form_token = forms_.token(known, purpose, now_s),
                                   .destinations = {"https:", "http:"}});
    if (browser.empty()) cookies_.set_browser(page, known);
    return page;
  }
  if (auto ended = end_session(**session, now_s); !ended)
    return broken("ending a session", ended.error());
  auto event = evidence_.event(domain::EventKind::sign_in, domain::Outcome::allowed, request);
  event.operation = "oauth2.logout";
  event.organization = (*session)->organization;
  event.actor = (*session)->user;
  if (auto stored = evidence_.record({std::move(event)}); !stored)
    return broken("recording a sign-out", stored.error());
  return signed_out(*parameters);
}

// Where the application wants the browser next, if it registered that address.
http::Response AuthorizationEndpoint::signed_out(const Form& parameters) {
  const std::string* id = form_value(parameters, "client_id");
  const std::string* uri = form_value(parameters, "post_logout_redirect_uri");
  auto answer = message_page(200, "Signed out", "You are signed out in this browser.");
  if (id != nullptr && uri != nullptr) {
    const auto client = ports_.directory.find_client(*id);
    if (!client) return broken("looking up a client", client.error());
    if (*client && (*client)->active && is_registered((*client)->signed_out_uris, *uri)) {
      const std::string* state = form_value(parameters, "state");
      answer = see_other(state == nullptr ? *uri : with_parameters(*uri, {{"state", *state}}));
    }
  }
  cookies_.clear_session(answer);
  return answer;
}

}  // namespace domicile::issuer
