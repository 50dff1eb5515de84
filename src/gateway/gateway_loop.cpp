#include "gateway/gateway_loop.h"

#include <algorithm>

#include "base/check.h"
#include "gateway/forwarding.h"
#include "gateway/proxy_exchange.h"
#include "gateway/refusal.h"
#include "wire/http1_chars.h"

namespace domicile::gateway {
namespace {

using domain::Activity;
using domain::Event;
using domain::EventKind;
using domain::Outcome;
using policy::AuditStrictness;
using policy::DenialReason;

constexpr std::string_view kCertificateDetail = "client_certificate";

Activity activity_of(wire::Method method) {
  switch (method) {
    case wire::Method::get:
    case wire::Method::head: return Activity::read;
    case wire::Method::post: return Activity::create;
    case wire::Method::put:
    case wire::Method::patch: return Activity::update;
    case wire::Method::remove: return Activity::remove;
    default: return Activity::other;
  }
}

// The Authorization field; or, in a handshake of a route that takes them, the token among the
// subprotocols, never both. A field that is there and empty counts as what it is: wrong.
std::string_view credentials_of(const wire::RequestHead& head, const policy::RouteRule* rule,
                                std::string& buffer) {
  if (rule != nullptr && rule->websocket && head.section.upgrade) {
    if (const auto token = wire::websocket_token(head); !token.empty()) {
      buffer = head.has_authorization ? "twice" : "Bearer " + std::string(token);
      return buffer;
    }
  }
  return head.has_authorization && head.authorization.empty() ? "none" : head.authorization;
}

// A number that the client or its proxies chose: joins the event with what others recorded.
void note_trace(domain::Event& event, const wire::RequestHead& head) {
  if (!head.trace_id.empty()) event.details.emplace_back("trace_id", head.trace_id);
}

}  // namespace

struct GatewayLoop::Counters {
  explicit Counters(http::Metrics& registry)
      : metrics(registry),
        allowed(registry.counter("domicile_gateway_decisions_total", "Decided requests.",
                                 "outcome=\"allowed\"")),
        denied(registry.counter("domicile_gateway_decisions_total", "", "outcome=\"denied\"")),
        credentials(registry.counter("domicile_gateway_denials_total", "Denied, by reason.",
                                     "reason=\"credentials\"")) {
    for (int i = 0; i < policy::kDenialReasons; ++i) {
      const auto reason = policy::to_string(static_cast<DenialReason>(i));
      denials.push_back(&registry.counter("domicile_gateway_denials_total", "",
                                          "reason=\"" + std::string(reason) + "\""));
    }
    for (const Limit limit : {Limit::address, Limit::client, Limit::organization}) {
      limited.push_back(&registry.counter("domicile_gateway_rate_limited_total",
                                          "Answered with 429.",
                                          "limit=\"" + std::string(to_string(limit)) + "\""));
    }
    for (const char* reason : {"upstream_unreachable", "upstream_closed", "upstream_malformed",
                               "upstream_timeout", "upstream_connect_timeout", "request_timeout",
                               "upstream_unavailable", "upstream_overloaded"}) {
      failures.emplace_back(reason, &registry.counter("domicile_gateway_upstream_failures_total",
                                                      "Requests the upstream failed, by reason.",
                                                      "reason=\"" + std::string(reason) + "\""));
    }
  }
  http::Metrics& metrics;
  http::Counter& allowed;
  http::Counter& denied;
  http::Counter& credentials;
  std::vector<http::Counter*> denials;  // by DenialReason
  std::vector<http::Counter*> limited;  // by Limit
  std::vector<std::pair<std::string_view, http::Counter*>> failures;
};

GatewayLoop::GatewayLoop(http::ServerContext& context, Parts parts)
    : options_(parts.options),
      clock_(parts.clock),
      mounts_(parts.mounts),
      upstreams_(parts.upstreams),
      limits_(parts.limits),
      context_(context),
      counters_(std::make_unique<Counters>(parts.metrics)),
      policy_(std::move(parts.policy)),
      snapshot_(std::move(parts.snapshot)),
      authenticator_(std::move(parts.authenticator)),
      signer_(std::move(parts.signer)),
      gate_(parts.events, context.loop, parts.options.bounded_events_max, parts.metrics),
      upstream_options_{parts.options.upstream_keep_ms, parts.options.upstream_idle_max,
                        parts.options.upstream_connections_max},
      upstream_counters_(parts.metrics),
      decisions_(*this),
      tunnels_(*this, parts.metrics) {
  for (const auto& upstream : upstreams_) {
    pools_.push_back(std::make_unique<http::UpstreamPool>(context.loop, *upstream,
                                                          upstream_options_, upstream_counters_));
  }
  bind_upstreams();
}

GatewayLoop::~GatewayLoop() = default;

void GatewayLoop::bind_upstreams() {
  pool_of_rule_.assign(policy_->rules().size(), nullptr);
  for (const policy::RouteRule& rule : policy_->rules()) {
    for (std::size_t i = 0; i < upstreams_.size(); ++i) {
      if (upstreams_[i]->name() == rule.upstream) pool_of_rule_[rule.index] = pools_[i].get();
    }
    CHECK(pool_of_rule_[rule.index] != nullptr);  // HttpGateway has checked the names
  }
}

void GatewayLoop::set_snapshot(std::shared_ptr<const domain::RegistrySnapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  tunnels_.check_all();
}

void GatewayLoop::distrust(const std::string& issuer) {
  authenticator_.distrust(issuer);
  tunnels_.end_of_issuer(issuer);
}

void GatewayLoop::set_revocations(std::shared_ptr<const token::RevocationSet> revocations) {
  authenticator_.set_revocations(std::move(revocations));
  tunnels_.check_all();
}

void GatewayLoop::set_policy(std::shared_ptr<const policy::RoutePolicy> policy) {
  policy_ = std::move(policy);
  bind_upstreams();
  tunnels_.check_all();
}

void GatewayLoop::count_upstream_failure(std::string_view reason) {
  for (auto& [name, counter] : counters_->failures) {
    if (name == reason) counter->add();
  }
}

bool GatewayLoop::accepts_host(std::string_view host) const {
  if (options_.hosts.empty()) return true;
  if (host.starts_with('[')) {
    host = host.substr(0, host.find(']') + 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  return std::ranges::any_of(
      options_.hosts, [&](const std::string& name) { return wire::equals_lower(host, name); });
}

ProxyExchange& GatewayLoop::take_exchange() {
  if (free_.empty()) {
    exchanges_.push_back(std::make_unique<ProxyExchange>(*this));
    return *exchanges_.back();
  }
  ProxyExchange& exchange = *free_.back();
  free_.pop_back();
  return exchange;
}

http::Responder* GatewayLoop::begin(http::Exchange& exchange, const wire::RequestHead& head,
                                    const wire::CleanPath& path) {
  if (!certificate_holds(exchange)) return nullptr;
  if (decisions_.takes(path.decoded)) return decisions_.begin(exchange, head, path);
  if (const http::Handler* handler = mounts_.find(path.decoded)) {
    return mounts_.begin(*handler, exchange, head, path);
  }
  if (!shows_what_is_required(exchange)) return nullptr;
  if (!accepts_host(head.host)) {
    exchange.refuse(421, "unknown_host", "This door does not answer for that host name.",
                    http::AfterAnswer::close);
    return nullptr;
  }
  if (head.host.empty()) {
    exchange.refuse(400, "missing_host", "Say which host you mean.", http::AfterAnswer::close);
    return nullptr;
  }
  policy::RequestFacts facts{.match = policy_->match(head.method_name, path.decoded),
                             .organization_header = {}};
  const policy::RouteRule* rule = facts.match.rule;
  const bool found = facts.match.outcome == policy::MatchOutcome::found;
  if (found && rule->place == policy::OrganizationPlace::header) {
    const auto value = wire::only_field(head, rule->organization_header);
    if (!value) {
      exchange.refuse(400, "duplicate_organization", "The organization is named twice.",
                      http::AfterAnswer::close);
      return nullptr;
    }
    facts.organization_header = *value;
  }
  const SteadyTime now = context_.loop.now();
  if (limits_.has(Limit::address) &&
      !within_rate(Limit::address, limits_.take_address(exchange.peer_ip(), now), exchange,
                   head.method, facts, nullptr)) {
    return nullptr;
  }
  std::shared_ptr<const domain::Principal> principal;
  std::string from_protocol;
  const std::string_view credentials = credentials_of(head, found ? rule : nullptr, from_protocol);
  if (found && !rule->is_public && !credentials.empty()) {
    auto verified = authenticator_.authenticate(credentials, clock_.unix_seconds());
    if (!verified) {
      note_credentials(event_of(exchange, head.method, facts), verified.error());
      refuse_credentials(exchange, verified.error());
      return nullptr;
    }
    principal = std::move(*verified);
    if (limits_.has(Limit::client) &&
        !within_rate(Limit::client, limits_.take_client(*principal, now), exchange, head.method,
                     facts, principal.get())) {
      return nullptr;
    }
  }
  return decide(exchange, head, path, facts, principal);
}

http::Responder* GatewayLoop::decide(http::Exchange& exchange, const wire::RequestHead& head,
                                     const wire::CleanPath& path, const policy::RequestFacts& facts,
                                     const std::shared_ptr<const domain::Principal>& principal) {
  const std::int64_t now_s = clock_.unix_seconds();
  const auto permit =
      policy::authorize(facts, principal.get(), *snapshot_, options_.region.view(), now_s);
  if (!permit) {
    deny(exchange, head, path, facts, principal.get(), permit.error());
    return nullptr;
  }
  const auto route = policy::route(*permit, *snapshot_);
  if (!route) {
    deny(exchange, head, path, facts, principal.get(), route.error());
    return nullptr;
  }
  const std::string_view organization = permit->organization().key;
  if (limits_.has(Limit::organization) && !organization.empty() &&
      !within_rate(Limit::organization,
                   limits_.take_organization(organization, context_.loop.now()), exchange,
                   head.method, facts, principal.get())) {
    return nullptr;
  }
  auto tunnel = tunnel_right(exchange, head, path, facts, principal);
  if (!tunnel) return nullptr;
  ProxyExchange& proxied = take_exchange();
  proxied.prepare(exchange, head, *pool_of_rule_[permit->rule().index]);
  const auto* certificate = exchange.client_certificate();
  const Forwarded forwarded{.peer_ip = exchange.peer_ip(),
                            .request_id = exchange.request_id(),
                            .client_certificate = certificate != nullptr && certificate->of_client
                                                      ? std::string_view(certificate->fingerprint)
                                                      : std::string_view(),
                            .encrypted = exchange.encrypted(),
                            .forward_authorization = options_.forward_authorization,
                            .websocket = *tunnel != nullptr};
  if (auto written =
          write_upstream_head(proxied.head(), head, path, forwarded, *route, signer_, now_s);
      !written) {
    proxied.cancel();
    refuse_credentials(exchange, written.error().reason);
    return nullptr;
  }
  Event event = event_of(exchange, head.method, facts);
  note_trace(event, head);
  note_permit(event, *route);
  if (*tunnel != nullptr) {
    (*tunnel)->event = event;
    proxied.offer(std::move(*tunnel));
  }
  const AuditStrictness strictness = gate_.in_force(permit->rule().audit);
  if (strictness == AuditStrictness::strict) {
    proxied.hold({policy_, snapshot_, principal, *permit, event});
  }
  switch (gate_.submit(std::move(event), strictness,
                       [&proxied](bool durable) { proxied.recorded(durable); })) {
    case EventGate::Verdict::go_on: proxied.start(); break;
    case EventGate::Verdict::wait: proxied.wait_for_record(); break;
    case EventGate::Verdict::refused:
      proxied.cancel();
      refuse_unrecorded(exchange);
      return nullptr;
  }
  return proxied.active() ? &proxied : nullptr;
}

bool GatewayLoop::within_rate(Limit limit, const RateLimiter::Verdict& verdict,
                              http::Exchange& exchange, wire::Method method,
                              const policy::RequestFacts& facts,
                              const domain::Principal* principal) {
  if (verdict.allowed) return true;
  note_limited(limit, verdict, event_of(exchange, method, facts), principal);
  refuse_limited(exchange, limit, verdict.wait);
  return false;
}

void GatewayLoop::note_limited(Limit limit, const RateLimiter::Verdict& verdict, Event event,
                               const domain::Principal* principal) {
  counters_->limited[static_cast<std::size_t>(limit)]->add();
  if (verdict.to_record == 0) return;
  event.reason = reason_of(limit);
  event.details.emplace_back("refused", std::to_string(verdict.to_record));
  if (principal != nullptr) {
    event.actor = principal->subject;
    if (event.organization.empty()) event.organization = principal->organization;
    if (event.organization != principal->organization) {
      event.acting_organization = principal->organization;
    }
  }
  gate_.note(std::move(event));
}

void GatewayLoop::deny(http::Exchange& exchange, const wire::RequestHead& head,
                       const wire::CleanPath& path, const policy::RequestFacts& facts,
                       const domain::Principal* principal, const policy::Denial& denial) {
  Event event = event_of(exchange, head.method, facts);
  note_trace(event, head);
  note_denial(std::move(event), principal, denial);
  if (denial.reason == DenialReason::method_not_allowed) {
    exchange.refuse(405, policy::to_string(denial.reason),
                    "The path is there, but not with this method.", http::AfterAnswer::keep,
                    "Allow: " + allowed_methods(path.decoded) + "\r\n");
    return;
  }
  refuse_denial(exchange, denial, &head, &path);
}

void GatewayLoop::note_permit(Event& event, const policy::Route& route) {
  const policy::Permit& permit = route.permit();
  counters_->allowed.add();
  event.outcome = Outcome::allowed;
  event.organization = domain::OrgKey(permit.organization().key);
  event.epoch = route.epoch();
  if (permit.principal() == nullptr) return;
  event.actor = permit.principal()->subject;
  if (permit.grant() != nullptr) {
    event.acting_organization = permit.principal()->organization;
    event.details.emplace_back("grant", permit.grant()->id);
  }
}

void GatewayLoop::note_credentials(Event event, std::string_view reason) {
  counters_->denied.add();
  counters_->credentials.add();
  event.reason = reason;
  gate_.note(std::move(event));
}

void GatewayLoop::note_denial(Event event, const domain::Principal* principal,
                              const policy::Denial& denial) {
  counters_->denied.add();
  counters_->denials[static_cast<std::size_t>(denial.reason)]->add();
  event.reason = policy::to_string(denial.reason);
  if (policy::is_violation(denial.reason)) event.kind = EventKind::cross_region;
  const bool elsewhere = policy::is_violation(denial.reason) ||
                         (denial.home != nullptr && denial.home->id != options_.region);
  if (elsewhere) {
    // Whoever asked belongs to another region: it records the person, this one does not, and tells
    // one's attempts together by a tag alone.
    if (principal != nullptr) {
      event.attempted_by = principal->organization.text() + '/' + principal->subject.text();
    }
    event.source_ip.clear();
    event.operation.clear();
    event.resource.clear();
    std::erase_if(event.details, [](const auto& d) { return d.first == kCertificateDetail; });
  } else if (principal != nullptr) {
    event.actor = principal->subject;
    event.acting_organization = principal->organization;
  }
  if (event.organization.empty() && principal != nullptr) {
    event.organization = principal->organization;
  }
  if (event.acting_organization == event.organization) event.acting_organization = {};
  gate_.note(std::move(event));
}

void GatewayLoop::refuse_late(http::Exchange& exchange, const policy::Denial& denial, Event event) {
  counters_->denied.add();
  counters_->denials[static_cast<std::size_t>(denial.reason)]->add();
  event.outcome = Outcome::denied;
  event.reason = policy::to_string(denial.reason);
  gate_.note(std::move(event));
  refuse_denial(exchange, denial, nullptr, nullptr);
}

// What every event of this door says. The organization only where the registry knows it: what a
// client wrote into a path is not evidence.
Event GatewayLoop::event_of(const http::Exchange& exchange, wire::Method method,
                            const policy::RequestFacts& facts) const {
  Event event;
  event.kind = EventKind::request;
  event.outcome = Outcome::denied;
  event.time = clock_.now();
  event.region = options_.region;
  event.source_ip = exchange.peer_ip();
  event.request_id = exchange.request_id();
  // The fingerprint alone: a certificate's names are a person's.
  if (const auto* certificate = exchange.client_certificate()) {
    event.details.emplace_back(kCertificateDetail, certificate->fingerprint);
  }
  const policy::RouteRule* rule = facts.match.rule;
  event.activity = rule != nullptr ? rule->activity : activity_of(method);
  if (rule != nullptr) {
    event.operation = rule->name;
    event.resource = rule->path;
    const std::string_view named = rule->place == policy::OrganizationPlace::path
                                       ? facts.match.organization_in_path
                                       : facts.organization_header;
    if (!named.empty() && snapshot_->find(named)) event.organization = domain::OrgKey(named);
  } else {
    event.operation = "request";
  }
  return event;
}

std::string GatewayLoop::allowed_methods(std::string_view path) const {
  std::string out;
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    if (policy_->match(method, path).outcome != policy::MatchOutcome::found) continue;
    if (!out.empty()) out += ", ";
    out += method;
  }
  return out;
}

}  // namespace domicile::gateway
