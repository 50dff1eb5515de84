// The door's decision without its forwarding, for two kinds of callers:
//
//   /authorize    another proxy (nginx, Traefik, Caddy, Envoy, a Lambda authorizer) asks about a
//                 request that it holds. Answered only to configured proxies, because a yes carries
//                 the signed context. The request's method and target come in X-Forwarded-Method
//                 and X-Forwarded-Uri, or (Envoy) as the method and the path behind /authorize.
//   /v1/context   a service of an organization asks for a fresh context, for work that outlives the
//                 request it came from. It names the organization and the epoch that the work was
//                 made under, and needs the permission "context:issue".
//
// Both go through policy::authorize and policy::route like any request, and both are recorded first:
// where the event cannot be stored, the answer is 503. Belongs to its loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "domain/event.h"
#include "gateway/request_limits.h"
#include "http/exchange.h"
#include "policy/route.h"
#include "runtime/timer.h"

namespace domicile::gateway {

class GatewayLoop;
class HeldAnswer;

class DecisionEndpoint {
 public:
  explicit DecisionEndpoint(GatewayLoop& gateway);
  ~DecisionEndpoint();

  bool takes(std::string_view path) const;
  http::Responder* begin(http::Exchange& exchange, const wire::RequestHead& head,
                         const wire::CleanPath& path);
  void set_token(Secret token) { token_ = std::move(token); }

 private:
  friend class HeldAnswer;
  // The request that is asked about, as the proxy tells it; empty method: was answered already.
  struct Asked {
    std::string_view method;
    std::string_view path;
  };
  // Only configured proxies, with their token; false: answered.
  bool trusts(http::Exchange& exchange, const wire::RequestHead& head);
  // The client's, as the proxy that asks names it; false: answered with 429.
  bool within_rate(Limit limit, const RateLimiter::Verdict& verdict, http::Exchange& exchange,
                   const domain::Event& event, const domain::Principal* principal);
  http::Responder* authorize(http::Exchange& exchange, const wire::RequestHead& head,
                             const wire::CleanPath& path);
  http::Responder* decide(http::Exchange& exchange, std::string_view path,
                          const policy::RequestFacts& facts,
                          std::shared_ptr<const domain::Principal> principal, domain::Event event);
  Asked asked(http::Exchange& exchange, const wire::RequestHead& head, const wire::CleanPath& path);
  http::Responder* issue_context(http::Exchange& exchange, const wire::RequestHead& head);
  // Records, then gives `fields` and `body` as the answer.
  http::Responder* answer(http::Exchange& exchange, const policy::Route& route,
                          std::shared_ptr<const domain::Principal> principal, domain::Event event,
                          std::string fields, std::string body);
  HeldAnswer& take();

  GatewayLoop& gateway_;
  const policy::RouteRule context_rule_;
  Secret token_;               // of the proxies that may ask; empty: the address is enough
  std::vector<char> scratch_;  // of the path in hand
  std::vector<std::unique_ptr<HeldAnswer>> answers_;
  std::vector<HeldAnswer*> free_;
};

}  // namespace domicile::gateway
