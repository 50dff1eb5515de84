// The door's decisions on one loop: what happens to a request between its head and its answer. Owns
// everything the loop needs to decide alone: policy, snapshot, verifier with cache, signer,
// upstream connections. Belongs to its loop's thread; the update functions are called there by
// message.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/authenticator.h"
#include "gateway/decision_endpoint.h"
#include "gateway/event_gate.h"
#include "gateway/http_gateway.h"
#include "gateway/tunnel.h"
#include "http/exchange.h"
#include "http/mounts.h"
#include "http/server_context.h"
#include "http/upstream_pool.h"
#include "policy/authorize.h"
#include "policy/route.h"
#include "token/context_token.h"
#include "wire/http1_response.h"

namespace domicile::gateway {

class ProxyExchange;

class GatewayLoop final : public http::Service {
 public:
  struct Parts {
    const HttpGatewayOptions& options;
    const Clock& clock;
    const http::Mounts& mounts;
    const std::vector<std::unique_ptr<http::UpstreamHealth>>& upstreams;
    RequestLimits& limits;
    domain::EventSink& events;
    http::Metrics& metrics;
    std::shared_ptr<const policy::RoutePolicy> policy;
    std::shared_ptr<const domain::RegistrySnapshot> snapshot;
    Authenticator authenticator;
    token::ContextSigner signer;
  };
  GatewayLoop(http::ServerContext& context, Parts parts);
  ~GatewayLoop() override;

  http::Responder* begin(http::Exchange& exchange, const wire::RequestHead& head,
                         const wire::CleanPath& path) override;

  void set_snapshot(std::shared_ptr<const domain::RegistrySnapshot> snapshot);
  void set_policy(std::shared_ptr<const policy::RoutePolicy> policy);
  void set_signer(token::ContextSigner signer) { signer_ = std::move(signer); }
  void set_authorize_token(Secret token) { decisions_.set_token(std::move(token)); }
  void distrust(const std::string& issuer);
  void set_revocations(std::shared_ptr<const token::RevocationSet> revocations);
  void drain() override { tunnels_.drain(); }
  void certificate_refused(const std::string& peer_ip, std::string_view reason) override;
  Authenticator& authenticator() { return authenticator_; }

  // For the exchanges of this loop.
  const HttpGatewayOptions& options() const { return options_; }
  http::ServerContext& context() { return context_; }
  EventGate& gate() { return gate_; }
  RequestLimits& limits() { return limits_; }
  const std::shared_ptr<const domain::RegistrySnapshot>& snapshot() const { return snapshot_; }
  wire::ResponseHead& response_head() { return response_head_; }
  std::string& head_buffer() { return head_buffer_; }
  Tunnels& tunnels() { return tunnels_; }
  // The reason for which a tunnel's right is no more, or "".
  std::string_view why_not(const TunnelRight& right) const;
  void put_back(ProxyExchange& exchange) { free_.push_back(&exchange); }
  void count_upstream_failure(std::string_view reason);
  // What every event of this door says.
  domain::Event event_of(const http::Exchange& exchange, wire::Method method,
                         const policy::RequestFacts& facts) const;
  // Counted and recorded, each for its own cause; answering is the caller's affair.
  void note_denial(domain::Event event, const domain::Principal* principal,
                   const policy::Denial& denial);
  void note_credentials(domain::Event event, std::string_view reason);
  void note_permit(domain::Event& event, const policy::Route& route);
  // A request over a rate; `event` is recorded as often as the limiter says.
  void note_limited(Limit limit, const RateLimiter::Verdict& verdict, domain::Event event,
                    const domain::Principal* principal);
  std::string allowed_methods(std::string_view path) const;
  const Clock& clock() const { return clock_; }
  const std::shared_ptr<const policy::RoutePolicy>& policy() const { return policy_; }
  token::ContextSigner& signer() { return signer_; }
  // A permit that did not hold until its event was recorded: answered, recorded.
  void refuse_late(http::Exchange& exchange, const policy::Denial& denial, domain::Event event);

 private:
  struct Counters;
  bool accepts_host(std::string_view host) const;
  // False: answered.
  bool certificate_holds(http::Exchange& exchange) const;
  bool shows_what_is_required(http::Exchange& exchange) const;
  http::Responder* decide(http::Exchange& exchange, const wire::RequestHead& head,
                          const wire::CleanPath& path, const policy::RequestFacts& facts,
                          const std::shared_ptr<const domain::Principal>& principal);
  void deny(http::Exchange& exchange, const wire::RequestHead& head, const wire::CleanPath& path,
            const policy::RequestFacts& facts, const domain::Principal* principal,
            const policy::Denial& denial);
  // False: answered with 429, counted, and recorded as often as the limiter says.
  bool within_rate(Limit limit, const RateLimiter::Verdict& verdict, http::Exchange& exchange,
                   wire::Method method, const policy::RequestFacts& facts,
                   const domain::Principal* principal);
  void bind_upstreams();
  ProxyExchange& take_exchange();
  // A tunnel's right, null when the request asks for none; nullopt: answered, it asks wrongly.
  std::optional<std::unique_ptr<TunnelRight>> tunnel_right(
      http::Exchange& exchange, const wire::RequestHead& head, const wire::CleanPath& path,
      const policy::RequestFacts& facts, const std::shared_ptr<const domain::Principal>& principal);

  const HttpGatewayOptions& options_;
  const Clock& clock_;
  const http::Mounts& mounts_;
  const std::vector<std::unique_ptr<http::UpstreamHealth>>& upstreams_;
  RequestLimits& limits_;
  http::ServerContext& context_;
  std::unique_ptr<Counters> counters_;
  std::shared_ptr<const policy::RoutePolicy> policy_;
  std::shared_ptr<const domain::RegistrySnapshot> snapshot_;
  Authenticator authenticator_;
  token::ContextSigner signer_;
  EventGate gate_;
  http::UpstreamOptions upstream_options_;
  http::UpstreamCounters upstream_counters_;
  std::vector<std::unique_ptr<http::UpstreamPool>> pools_;  // as upstreams_
  std::vector<http::UpstreamPool*> pool_of_rule_;           // by RouteRule::index
  std::vector<std::unique_ptr<ProxyExchange>> exchanges_;
  std::vector<ProxyExchange*> free_;
  DecisionEndpoint decisions_;
  Tunnels tunnels_;
  wire::ResponseHead response_head_;
  std::string head_buffer_;
  struct RefusedCertificates {
    SteadyTime quiet_until{};
    std::uint32_t count = 0;  // since the last event
  };
  std::map<std::string_view, RefusedCertificates> refused_certificates_;  // by reason
};

}  // namespace domicile::gateway
