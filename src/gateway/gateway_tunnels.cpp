// What GatewayLoop decides about tunnels: who may begin one, and whether its right still stands.
#include "gateway/gateway_loop.h"
#include "http/exchange.h"
#include "token/token_error.h"

namespace domicile::gateway {

std::optional<std::unique_ptr<TunnelRight>> GatewayLoop::tunnel_right(
    http::Exchange& exchange, const wire::RequestHead& head, const wire::CleanPath& path,
    const policy::RequestFacts& facts, const std::shared_ptr<const domain::Principal>& principal) {
  if (!facts.match.rule->websocket || !head.section.upgrade) return nullptr;
  switch (wire::handshake_of(head)) {
    case wire::Handshake::none: return nullptr;
    case wire::Handshake::bad_version:
      exchange.refuse(426, "websocket_version", "Only version 13 of WebSocket is spoken here.",
                      http::AfterAnswer::keep, "Sec-WebSocket-Version: 13\r\n");
      return std::nullopt;
    case wire::Handshake::bad_key:
      exchange.refuse(400, "websocket_key", "Sec-WebSocket-Key must be 16 bytes in base64.");
      return std::nullopt;
    case wire::Handshake::valid: break;
  }
  auto right = std::make_unique<TunnelRight>();
  right->principal = principal;
  right->path = path.decoded;
  right->organization_header = facts.organization_header;
  right->accept = wire::websocket_accept(*wire::only_field(head, "sec-websocket-key"));
  return right;
}

std::string_view GatewayLoop::why_not(const TunnelRight& right) const {
  if (right.principal != nullptr && authenticator_.revoked(*right.principal)) {
    return token::reason::revoked;
  }
  const policy::RequestFacts facts{.match = policy_->match("GET", right.path),
                                   .organization_header = right.organization_header};
  if (facts.match.rule != nullptr && !facts.match.rule->websocket) {
    return policy::to_string(policy::DenialReason::no_route);
  }
  const auto permit = policy::authorize(facts, right.principal.get(), *snapshot_,
                                        options_.region.view(), clock_.unix_seconds());
  if (!permit) return policy::to_string(permit.error().reason);
  const auto route = policy::route(*permit, *snapshot_);
  return route ? std::string_view() : policy::to_string(route.error().reason);
}

}  // namespace domicile::gateway
