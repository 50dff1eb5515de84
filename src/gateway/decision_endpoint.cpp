#include "gateway/decision_endpoint.h"

#include <charconv>

#include <fmt/format.h>

#include "gateway/forwarding.h"
#include "gateway/gateway_loop.h"
#include "gateway/held_answer.h"
#include "gateway/refusal.h"
#include "http/problem.h"
#include "wire/http1_chars.h"

namespace domicile::gateway {
namespace {

using http::AfterAnswer;
using policy::DenialReason;

constexpr std::string_view kAuthorize = "/authorize";
constexpr std::string_view kContext = "/v1/context";

policy::RouteRule context_rule() {
  policy::RouteRule rule;
  rule.name = "context.issue";
  rule.path = kContext;
  rule.place = policy::OrganizationPlace::header;
  rule.organization_header = "domicile-organization";
  rule.permission = domain::Permission("context:issue");
  rule.audit = policy::AuditStrictness::strict;
  return rule;
}

// The same reason, also as a field: an auth_request cannot read the body.
void refuse_asked(http::Exchange& exchange, int status, std::string_view reason,
                  std::string_view detail, std::string_view fields,
                  const domain::Region* home = nullptr) {
  std::vector<std::pair<std::string_view, std::string_view>> more;
  std::string lines =
      fmt::format("Cache-Control: no-store\r\nDomicile-Reason: {}\r\n{}", reason, fields);
  if (home != nullptr) {
    more = {{"home_region", home->id.view()}, {"home_url", home->url}};
    lines += fmt::format("Domicile-Home-Url: {}\r\n", home->url);
  }
  exchange.answer(status, lines, "application/problem+json",
                  http::problem_body(status, reason, detail, exchange.request_id(), more));
}

void refuse_asked(http::Exchange& exchange, const policy::Denial& denial,
                  std::string_view allowed_methods = "") {
  std::string fields(fields_of(denial.reason));
  if (denial.reason == DenialReason::method_not_allowed) {
    fields += fmt::format("Allow: {}\r\n", allowed_methods);
  }
  refuse_asked(exchange, policy::status_of(denial.reason), policy::to_string(denial.reason),
               detail_of(denial.reason), fields, denial.home);
}

void refuse_asked_credentials(http::Exchange& exchange, std::string_view reason) {
  refuse_asked(exchange, 401, reason, "The access token does not count here.",
               fields_of(DenialReason::token_expired));
}

// The client as the proxy saw it: the address that it added, which is the last one.
std::string client_ip(const wire::RequestHead& head, const std::string& otherwise) {
  const auto given = wire::only_field(head, "x-forwarded-for");
  if (!given) return otherwise;
  std::string_view last = given->substr(given->rfind(',') + 1);
  while (last.starts_with(' ')) last.remove_prefix(1);
  return is_ip_address(last) ? std::string(last) : otherwise;
}

std::optional<domain::Epoch> parse_epoch(std::string_view text) {
  domain::Epoch epoch = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), epoch);
  if (text.empty() || error != std::errc{} || end != text.end()) return std::nullopt;
  return epoch;
}

}  // namespace

DecisionEndpoint::DecisionEndpoint(GatewayLoop& gateway)
    : gateway_(gateway), context_rule_(context_rule()), token_(gateway.options().authorize_token) {}
DecisionEndpoint::~DecisionEndpoint() = default;

bool DecisionEndpoint::takes(std::string_view path) const {
  if (path == kContext) return true;
  return !gateway_.options().authorize_proxies.empty() && path.starts_with(kAuthorize) &&
         (path.size() == kAuthorize.size() || path[kAuthorize.size()] == '/');
}

http::Responder* DecisionEndpoint::begin(http::Exchange& exchange, const wire::RequestHead& head,
                                         const wire::CleanPath& path) {
  return path.decoded == kContext ? issue_context(exchange, head) : authorize(exchange, head, path);
}

DecisionEndpoint::Asked DecisionEndpoint::asked(http::Exchange& exchange,
                                                const wire::RequestHead& head,
                                                const wire::CleanPath& path) {
  const auto method = wire::only_field(head, "x-forwarded-method");
  const auto target = wire::only_field(head, "x-forwarded-uri");
  const bool behind = path.decoded.size() > kAuthorize.size();
  const auto refuse = [&](std::string_view reason, std::string_view detail) {
    refuse_asked(exchange, 400, reason, detail, "");
    return Asked{};
  };
  if (!method || !target || (behind && (!method->empty() || !target->empty()))) {
    return refuse("ambiguous_request", "The request in question is described twice.");
  }
  if (behind) return {head.method_name, path.decoded.substr(kAuthorize.size())};
  if (method->empty() || target->empty()) {
    return refuse("request_missing",
                  "Say which request is meant: X-Forwarded-Method and X-Forwarded-Uri.");
  }
  const std::string_view raw = target->substr(0, target->find('?'));
  if (raw.empty() || raw.front() != '/' ||
      raw.size() > gateway_.options().limits.head.target_bytes_max) {
    return refuse("bad_target", "X-Forwarded-Uri must be a path, and not too long.");
  }
  scratch_.resize(2 * raw.size());
  wire::CleanPath clean;
  if (const auto fault = wire::clean_path(raw, scratch_, clean); fault != wire::Fault::none) {
    return refuse(wire::reason_of(fault), "The path has more than one reading.");
  }
  return {*method, clean.decoded};
}

bool DecisionEndpoint::trusts(http::Exchange& exchange, const wire::RequestHead& head) {
  const auto shown = wire::only_field(head, "domicile-proxy-token");
  if (gateway_.options().authorize_proxies.contains(exchange.peer_ip()) &&
      (token_.empty() || (shown && equal_constant_time(*shown, token_.reveal())))) {
    return true;
  }
  domain::Event event = gateway_.event_of(exchange, wire::Method::other, {});
  event.operation = "authorize";
  event.reason = "untrusted_proxy";
  event.severity = "high";
  gateway_.gate().note(std::move(event));
  refuse_asked(exchange, 403, "untrusted_proxy", "Only configured proxies may ask this.", "");
  return false;
}

bool DecisionEndpoint::within_rate(Limit limit, const RateLimiter::Verdict& verdict,
                                   http::Exchange& exchange, const domain::Event& event,
                                   const domain::Principal* principal) {
  if (verdict.allowed) return true;
  gateway_.note_limited(limit, verdict, event, principal);
  refuse_asked(exchange, 429, reason_of(limit), detail_of(limit), retry_after(verdict.wait));
  return false;
}

http::Responder* DecisionEndpoint::authorize(http::Exchange& exchange,
                                             const wire::RequestHead& head,
                                             const wire::CleanPath& path) {
  if (!trusts(exchange, head)) return nullptr;
  const Asked request = asked(exchange, head, path);
  if (request.method.empty()) return nullptr;
  const auto policy = gateway_.policy();
  policy::RequestFacts facts{.match = policy->match(request.method, request.path),
                             .organization_header = {}};
  const policy::RouteRule* rule = facts.match.rule;
  const bool found = facts.match.outcome == policy::MatchOutcome::found;
  if (found && rule->place == policy::OrganizationPlace::header) {
    const auto value = wire::only_field(head, rule->organization_header);
    if (!value) {
      refuse_asked(exchange, 400, "duplicate_organization", "The organization is named twice.", "");
      return nullptr;
    }
    facts.organization_header = *value;
  }
  domain::Event event = gateway_.event_of(exchange, wire::Method::other, facts);
  event.source_ip = client_ip(head, exchange.peer_ip());
  event.details.emplace_back("asked_by", exchange.peer_ip());
  RequestLimits& limits = gateway_.limits();
  const SteadyTime now = gateway_.context().loop.now();
  // Without the client's address every client would be the proxy: then the proxy is not limited.
  if (limits.has(Limit::address) && event.source_ip != exchange.peer_ip() &&
      !within_rate(Limit::address, limits.take_address(event.source_ip, now), exchange, event,
                   nullptr)) {
    return nullptr;
  }
  std::shared_ptr<const domain::Principal> principal;
  const std::int64_t now_s = gateway_.clock().unix_seconds();
  if (found && !rule->is_public && head.has_authorization) {
    auto verified = gateway_.authenticator().authenticate(head.authorization, now_s);
    if (!verified) {
      gateway_.note_credentials(std::move(event), verified.error());
      refuse_asked_credentials(exchange, verified.error());
      return nullptr;
    }
    principal = std::move(*verified);
    if (limits.has(Limit::client) &&
        !within_rate(Limit::client, limits.take_client(*principal, now), exchange, event,
                     principal.get())) {
      return nullptr;
    }
  }
  return decide(exchange, request.path, facts, std::move(principal), std::move(event));
}

http::Responder* DecisionEndpoint::decide(http::Exchange& exchange, std::string_view path,
                                          const policy::RequestFacts& facts,
                                          std::shared_ptr<const domain::Principal> principal,
                                          domain::Event event) {
  const std::int64_t now_s = gateway_.clock().unix_seconds();
  const auto permit = policy::authorize(facts, principal.get(), *gateway_.snapshot(),
                                        gateway_.options().region.view(), now_s);
  const auto route =
      permit ? policy::route(*permit, *gateway_.snapshot()) : std::unexpected(permit.error());
  if (!route) {
    gateway_.note_denial(std::move(event), principal.get(), route.error());
    refuse_asked(exchange, route.error(), gateway_.allowed_methods(path));
    return nullptr;
  }
  RequestLimits& limits = gateway_.limits();
  const std::string_view organization = permit->organization().key;
  if (limits.has(Limit::organization) && !organization.empty() &&
      !within_rate(Limit::organization,
                   limits.take_organization(organization, gateway_.context().loop.now()), exchange,
                   event, principal.get())) {
    return nullptr;
  }
  std::string fields = "Cache-Control: no-store\r\n";
  if (auto written = write_identity(fields, *route, gateway_.signer(), now_s); !written) {
    gateway_.note_credentials(std::move(event), written.error().reason);
    refuse_asked_credentials(exchange, written.error().reason);
    return nullptr;
  }
  gateway_.note_permit(event, *route);
  return answer(exchange, *route, std::move(principal), std::move(event), std::move(fields), "");
}

http::Responder* DecisionEndpoint::issue_context(http::Exchange& exchange,
                                                 const wire::RequestHead& head) {
  if (head.method != wire::Method::post) {
    refuse_asked(exchange, 405, "method_not_allowed", "Only POST.", "Allow: POST\r\n");
    return nullptr;
  }
  const auto organization = wire::only_field(head, "domicile-organization");
  const auto epoch_text = wire::only_field(head, "domicile-epoch");
  const auto epoch = epoch_text ? parse_epoch(*epoch_text) : std::nullopt;
  if (!organization || !epoch) {
    refuse_asked(exchange, 400, "epoch_missing",
                 "Say which organization at which epoch: Domicile-Organization, Domicile-Epoch.",
                 "");
    return nullptr;
  }
  policy::RequestFacts facts;
  facts.match = {policy::MatchOutcome::found, &context_rule_, {}};
  facts.organization_header = *organization;
  domain::Event event = gateway_.event_of(exchange, head.method, facts);
  event.details.emplace_back("job_epoch", std::to_string(*epoch));
  const std::int64_t now_s = gateway_.clock().unix_seconds();
  std::shared_ptr<const domain::Principal> principal;
  if (head.has_authorization) {
    auto verified = gateway_.authenticator().authenticate(head.authorization, now_s);
    if (!verified) {
      gateway_.note_credentials(std::move(event), verified.error());
      refuse_asked_credentials(exchange, verified.error());
      return nullptr;
    }
    principal = std::move(*verified);
  }
  const auto refuse = [&](const policy::Denial& denial) -> http::Responder* {
    gateway_.note_denial(std::move(event), principal.get(), denial);
    refuse_asked(exchange, denial);
    return nullptr;
  };
  const auto permit = policy::authorize(facts, principal.get(), *gateway_.snapshot(),
                                        gateway_.options().region.view(), now_s);
  if (!permit) return refuse(permit.error());
  // A grant is a person's, for a while; work that outlives its request is the organization's own.
  if (permit->grant() != nullptr) return refuse({.reason = DenialReason::organization_mismatch});
  const auto route = policy::route(*permit, *gateway_.snapshot());
  if (!route) return refuse(route.error());
  if (*epoch > route->epoch()) return refuse({.reason = DenialReason::snapshot_behind});
  if (*epoch < route->epoch()) {
    event.actor = principal->subject;
    event.reason = "stale_job";
    gateway_.gate().note(std::move(event));
    refuse_asked(
        exchange, 409, "stale_job",
        "The organization's placement has changed since this work was queued: look whether "
        "it still makes sense, and queue it again.",
        "");
    return nullptr;
  }
  const domain::OrganizationView& view = route->permit().organization();
  std::string body =
      fmt::format(R"({{"context":"{}","organization":"{}","epoch":{},"expires_at":{}}})",
                  gateway_.signer().sign(domain::OrgKey(view.key), view.epoch, now_s), view.key,
                  view.epoch, now_s + token::ContextSigner::kLifetimeMaxS);
  gateway_.note_permit(event, *route);
  return answer(exchange, *route, std::move(principal), std::move(event),
                "Cache-Control: no-store\r\n", std::move(body));
}

HeldAnswer& DecisionEndpoint::take() {
  if (free_.empty()) {
    answers_.push_back(std::make_unique<HeldAnswer>(gateway_, *this));
    return *answers_.back();
  }
  HeldAnswer& answer = *free_.back();
  free_.pop_back();
  return answer;
}

http::Responder* DecisionEndpoint::answer(http::Exchange& exchange, const policy::Route& route,
                                          std::shared_ptr<const domain::Principal> principal,
                                          domain::Event event, std::string fields,
                                          std::string body) {
  HeldAnswer& held = take();
  const auto strictness = gateway_.gate().in_force(route.permit().rule().audit);
  held.hold(exchange, {.policy = gateway_.policy(),
                       .snapshot = gateway_.snapshot(),
                       .principal = std::move(principal),
                       .permit = route.permit(),
                       .event = event,
                       .fields = std::move(fields),
                       .body = std::move(body)});
  switch (gateway_.gate().submit(std::move(event), strictness,
                                 [&held](bool durable) { held.recorded(durable); })) {
    case EventGate::Verdict::go_on: held.give(); break;
    case EventGate::Verdict::wait: held.wait(); return &held;
    case EventGate::Verdict::refused:
      held.put_back();
      refuse_unrecorded(exchange);
      break;
  }
  return nullptr;
}

}  // namespace domicile::gateway
