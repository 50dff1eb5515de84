#include "gateway/http_gateway.h"

#include <algorithm>
#include <atomic>
#include <map>

#include <fmt/format.h>

#include "gateway/gateway_loop.h"
#include "gateway/upstream_url.h"
#include "http/mounts.h"
#include "http/server.h"
#include "runtime/worker_pool.h"

namespace domicile::gateway {
namespace {

http::Response plain(int status, std::string body) {
  return {status,
          {{"content-type", "text/plain; charset=utf-8"}, {"cache-control", "no-store"}},
          std::move(body)};
}

bool only_reads(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

http::Response not_allowed(const http::Request& request) {
  auto response = http::problem(405, "method_not_allowed", "", request);
  response.headers.emplace_back("allow", "GET, HEAD");
  return response;
}

Result<void> check_upstreams(const policy::RoutePolicy& policy,
                             const std::vector<std::unique_ptr<http::UpstreamHealth>>& upstreams) {
  for (const std::string& name : policy.upstreams()) {
    if (std::ranges::none_of(upstreams, [&](const auto& known) { return known->name() == name; })) {
      return fail(
          Code::invalid,
          fmt::format("the route file sends requests to upstream {:?}, which has no address "
                      "in this node's configuration",
                      name));
    }
  }
  return {};
}

Result<void> check_prefix(const std::string& prefix) {
  if (!prefix.starts_with('/') || prefix == "/") {
    return fail(Code::invalid, fmt::format("handler prefix {:?}: it must start with '/' and leave "
                                           "room for the routes",
                                           prefix));
  }
  return {};
}

}  // namespace

struct HttpGateway::State {
  State(HttpGatewayOptions o, HttpGatewayParts p)
      : options(std::move(o)),
        parts(std::move(p)),
        pool(options.workers, options.worker_queue_max),
        mounts(pool, options.limits.handler_body_bytes_max) {}
  // The connections let go of their handler calls, then the workers end, then the handlers die.
  ~State() {
    server.reset();
    pool.stop();
  }

  HttpGatewayOptions options;
  HttpGatewayParts parts;
  http::Metrics metrics;
  runtime::WorkerPool pool;
  http::Mounts mounts;
  std::vector<std::unique_ptr<http::UpstreamHealth>> upstreams;
  RequestLimits limits{options.rates};
  std::atomic<bool> has_snapshot{false};
  std::atomic<std::uint64_t> revision{0};
  std::atomic<bool> draining{false};
  std::unique_ptr<http::Server> server;

  void note_snapshot(const domain::RegistrySnapshot& snapshot) {
    has_snapshot = !snapshot.regions().empty();
    revision = snapshot.revision();
  }
  Result<void> resolve_upstreams();
  void mount_own();
  Result<std::unique_ptr<http::Service>> make_loop(http::ServerContext& context);
  http::Response ready(const http::Request& request);
  void post(const std::function<void(GatewayLoop&)>& task) {
    server->post([task](http::Service& service) { task(static_cast<GatewayLoop&>(service)); });
  }
};

http::Response HttpGateway::State::ready(const http::Request& request) {
  if (!only_reads(request)) return not_allowed(request);
  if (draining) return plain(503, "draining\n");
  if (!has_snapshot) return plain(503, "no registry snapshot yet\n");
  for (const auto& [name, check] : parts.readiness) {
    if (const auto result = check(); !result) return plain(503, name + "\n");
  }
  return plain(200, "ready\n");
}

Result<void> HttpGateway::State::resolve_upstreams() {
  constexpr std::size_t kAddressesMax = 64;
  std::map<std::string, std::vector<runtime::Address>> found;
  for (const auto& [name, url] : options.upstreams) {
    const UpstreamUrl parsed = TRY(parse_upstream_url(url));
    auto addresses = TRY(runtime::resolve(parsed.host, parsed.port));
    auto& all = found[name];
    all.insert(all.end(), addresses.begin(), addresses.end());
    if (all.size() > kAddressesMax) {
      return fail(Code::invalid, fmt::format("upstream {:?} has {} addresses; at most {} are used",
                                             name, all.size(), kAddressesMax));
    }
  }
  for (auto& [name, addresses] : found) {
    auto health =
        std::make_unique<http::UpstreamHealth>(name, std::move(addresses), options.circuit);
    const std::string labels = fmt::format("upstream=\"{}\"", name);
    metrics.read(
        "domicile_http_upstream_circuits_open", "Addresses left alone for a while.",
        http::Metrics::Kind::gauge,
        [&known = *health] { return static_cast<double>(known.open_count()); }, labels);
    metrics.read(
        "domicile_http_upstream_circuits_opened_total", "Times that happened.",
        http::Metrics::Kind::counter,
        [&known = *health] { return static_cast<double>(known.opened_total()); }, labels);
    upstreams.push_back(std::move(health));
  }
  return {};
}

void HttpGateway::State::mount_own() {
  mounts.add("/healthz", [](const http::Request& request) {
    return only_reads(request) ? plain(200, "alive\n") : not_allowed(request);
  });
  mounts.add("/readyz", [this](const http::Request& request) { return ready(request); });
  mounts.add("/metrics", [this](const http::Request& request) {
    if (!only_reads(request)) return not_allowed(request);
    http::Response response = plain(200, metrics.page());
    response.headers[0].second = "text/plain; version=0.0.4; charset=utf-8";
    return response;
  });
  metrics.read("domicile_gateway_snapshot_revision", "Registry revision decided on.",
               http::Metrics::Kind::gauge, [this] { return static_cast<double>(revision.load()); });
}

Result<std::unique_ptr<http::Service>> HttpGateway::State::make_loop(http::ServerContext& context) {
  auto signer = TRY(parts.make_signer());
  std::unique_ptr<http::Service> loop = std::make_unique<GatewayLoop>(
      context,
      GatewayLoop::Parts{.options = options,
                         .clock = parts.clock,
                         .mounts = mounts,
                         .upstreams = upstreams,
                         .limits = limits,
                         .events = parts.events,
                         .metrics = metrics,
                         .policy = parts.policy,
                         .snapshot = parts.snapshot,
                         .authenticator = Authenticator(parts.make_verifier(), options.token_cache,
                                                        parts.on_unknown_key, metrics),
                         .signer = std::move(signer)});
  return loop;
}

HttpGateway::HttpGateway(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpGateway::~HttpGateway() = default;

Result<std::unique_ptr<HttpGateway>> HttpGateway::create(HttpGatewayOptions options,
                                                         HttpGatewayParts parts) {
  auto state = std::make_unique<State>(std::move(options), std::move(parts));
  State& s = *state;
  TRY(s.resolve_upstreams());
  TRY(check_upstreams(*s.parts.policy, s.upstreams));
  s.mount_own();
  for (auto& [prefix, handler] : s.parts.handlers) {
    TRY(check_prefix(prefix));
    s.mounts.add(prefix, handler);
  }
  s.note_snapshot(*s.parts.snapshot);
  s.server = TRY(
      http::Server::create(s.options.listener, s.options.limits, s.parts.clock, s.metrics,
                           [&s](http::ServerContext& context) { return s.make_loop(context); }));
  return std::unique_ptr<HttpGateway>(new HttpGateway(std::move(state)));
}

Result<void> HttpGateway::start() { return state_->server->start(); }
std::uint16_t HttpGateway::port() const { return state_->server->port(); }
http::Metrics& HttpGateway::metrics() { return state_->metrics; }

void HttpGateway::update_snapshot(std::shared_ptr<const domain::RegistrySnapshot> snapshot) {
  state_->note_snapshot(*snapshot);
  state_->post([snapshot](GatewayLoop& loop) { loop.set_snapshot(snapshot); });
}

Result<void> HttpGateway::update_policy(std::shared_ptr<const policy::RoutePolicy> policy) {
  TRY(check_upstreams(*policy, state_->upstreams));
  state_->post([policy](GatewayLoop& loop) { loop.set_policy(policy); });
  return {};
}

void HttpGateway::trust_issuer(token::TrustedIssuer issuer) {
  state_->post([issuer](GatewayLoop& loop) { loop.authenticator().trust(issuer); });
}

void HttpGateway::distrust_issuer(std::string issuer) {
  state_->post([issuer](GatewayLoop& loop) { loop.distrust(issuer); });
}

void HttpGateway::update_revocations(std::shared_ptr<const token::RevocationSet> revocations) {
  state_->post([revocations](GatewayLoop& loop) { loop.set_revocations(revocations); });
}

Result<void> HttpGateway::update_signer(std::function<Result<token::ContextSigner>()> make_signer) {
  // Each loop makes its own; the first try is here, so that an error reaches the caller.
  TRY(make_signer());
  state_->post([make_signer](GatewayLoop& loop) {
    if (auto signer = make_signer()) loop.set_signer(std::move(*signer));
  });
  return {};
}

Result<void> HttpGateway::reload_certificate() { return state_->server->reload_certificate(); }

void HttpGateway::update_authorize_token(Secret token) {
  state_->post([token](GatewayLoop& loop) { loop.set_authorize_token(token); });
}

void HttpGateway::announce_drain() { state_->draining = true; }

std::size_t HttpGateway::drain(std::chrono::milliseconds deadline) {
  announce_drain();
  return state_->server->drain(deadline);
}

void HttpGateway::stop() { state_->server->stop(); }

}  // namespace domicile::gateway
