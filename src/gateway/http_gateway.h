// The HTTP door of a region. Every request that no mounted handler takes is authenticated (bearer
// token), authorized and routed by the pure functions of policy, recorded as an event, and only
// then forwarded to the region's upstream with a signed organization context. What is refused is
// answered with problem+json and a stable reason code (docs/gateway.md lists them all).
//
//   bytes -> wire head -> token -> Principal -> authorize -> Permit -> route -> Route
//         -> event recorded -> forwarded -> relayed
//
// Threads: one event loop per thread, each with its own listening socket, token cache, verifier,
// signer and upstream connections; a connection never changes its loop and nothing is locked on the
// way of a request. Snapshots, policies and keys are immutable and handed to each loop by message.
// Handlers run on a pool of worker threads. All methods may be called from any thread, but start(),
// drain() and stop() from one at a time; the references in Parts must outlive the gateway.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"
#include "domain/registry_snapshot.h"
#include "gateway/address_list.h"
#include "gateway/request_limits.h"
#include "http/message.h"
#include "http/metrics.h"
#include "http/server_options.h"
#include "http/upstream_health.h"
#include "policy/route_policy.h"
#include "token/context_token.h"
#include "token/revocation_set.h"
#include "token/token_cache.h"
#include "token/token_verifier.h"

namespace domicile::gateway {

struct HttpGatewayOptions {
  http::ListenerOptions listener;
  http::ServerLimits limits;
  domain::RegionId region;  // this door's region
  // Name in the route file -> "http://host:port". Every name the policy uses needs one; a name that
  // stands several times has several addresses, which share the work. Names are resolved once, by
  // create().
  std::vector<std::pair<std::string, std::string>> upstreams;
  std::vector<std::string> hosts;  // accepted Host names without port, lower case; empty: any
  unsigned workers = 8;            // threads for mounted handlers
  std::size_t worker_queue_max = 256;
  std::size_t bounded_events_max = 4096;  // per loop, not yet durable; above: refused
  token::TokenCache::Options token_cache;
  // Proxies that may ask /authorize; empty: nobody, and the path is a route's like any other.
  AddressList authorize_proxies;
  Secret authorize_token;                       // empty: the address is enough
  bool forward_authorization = false;           // hand the client's token on to the upstream
  std::chrono::milliseconds record_ms{10'000};  // a strict event not durable by then: refused
  std::chrono::milliseconds connect_ms{3'000};
  std::chrono::milliseconds upstream_response_ms{60'000};  // until the first byte of the answer
  std::chrono::milliseconds upstream_idle_ms{60'000};      // between bytes
  std::chrono::milliseconds tunnel_idle_ms{600'000};       // a WebSocket without a byte
  std::chrono::milliseconds total_ms{0};  // a forwarded request from its head to its end; 0: any
  std::chrono::milliseconds upstream_keep_ms{30'000};  // an unused pooled connection
  std::size_t upstream_idle_max = 128;                 // pooled per upstream address and loop
  std::size_t upstream_connections_max = 8192;         // per upstream and loop; above: refused
  http::CircuitOptions circuit;
  RateOptions rates;
};

struct HttpGatewayParts {
  const Clock& clock;
  domain::EventSink& events;
  std::shared_ptr<const policy::RoutePolicy> policy;
  std::shared_ptr<const domain::RegistrySnapshot>
      snapshot;                                         // RegistrySnapshot::empty() if none yet
  std::function<token::TokenVerifier()> make_verifier;  // once per loop
  std::function<Result<token::ContextSigner>()> make_signer;  // once per loop
  // Prefix -> handler; the longest prefix wins. A prefix ends in '/' or names one path exactly.
  // /healthz, /readyz and /metrics are there already.
  std::vector<std::pair<std::string, http::Handler>> handlers;
  // Named conditions of /readyz beside "a snapshot is there" and "not draining".
  std::vector<std::pair<std::string, std::function<Result<void>()>>> readiness;
  // Called on a loop when a token names a key that its known issuer does not have: refresh its JWKS
  // elsewhere. Must not block.
  std::function<void(std::string_view issuer)> on_unknown_key;
};

class HttpGateway {
 public:
  // Validates everything that can be validated without serving: upstream names and addresses, TLS
  // files, prefixes. Binds the port; nothing is accepted before start().
  static Result<std::unique_ptr<HttpGateway>> create(HttpGatewayOptions options,
                                                     HttpGatewayParts parts);
  ~HttpGateway();  // stops

  Result<void> start();
  std::uint16_t port() const;  // the bound one

  void update_snapshot(std::shared_ptr<const domain::RegistrySnapshot> snapshot);
  Result<void> update_policy(std::shared_ptr<const policy::RoutePolicy> policy);
  void trust_issuer(token::TrustedIssuer issuer);  // new keys; its cached tokens are forgotten
  void distrust_issuer(std::string issuer);
  void update_revocations(std::shared_ptr<const token::RevocationSet> revocations);
  Result<void> update_signer(std::function<Result<token::ContextSigner>()> make_signer);
  Result<void> reload_certificate();  // reads the files again; the old one stays on an error
  void update_authorize_token(Secret token);

  // /readyz says no from now on; requests are still taken.
  void announce_drain();
  // Stops accepting, lets requests in flight finish, closes idle connections. Returns when all are
  // gone or the deadline has passed: then the number of connections that stop() will cut.
  std::size_t drain(std::chrono::milliseconds deadline);
  void stop();

  http::Metrics& metrics();  // others may add theirs before start()

 private:
  struct State;
  explicit HttpGateway(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile::gateway
