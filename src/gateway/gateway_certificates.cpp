// What GatewayLoop does about the certificates of TLS clients: whether a connection's still counts,
// and what is recorded of those that did not.
#include "gateway/gateway_loop.h"
#include "http/exchange.h"

namespace domicile::gateway {

// In the handshake it was verified; a kept connection may outlive it.
bool GatewayLoop::certificate_holds(http::Exchange& exchange) const {
  const auto* certificate = exchange.client_certificate();
  if (certificate == nullptr || clock_.unix_seconds() < certificate->valid_until_s) return true;
  exchange.refuse(403, "client_certificate_expired", "The certificate of this connection is over.",
                  http::AfterAnswer::close);
  return false;
}

// A peer's certificate opens the handshake, but is none of an application's client.
bool GatewayLoop::shows_what_is_required(http::Exchange& exchange) const {
  using runtime::ClientCertificates;
  if (options_.listener.client_authorities.clients != ClientCertificates::required) return true;
  const auto* certificate = exchange.client_certificate();
  if (certificate != nullptr && certificate->of_client) return true;
  exchange.refuse(403, "client_certificate_missing", "Show a client certificate for this door.",
                  http::AfterAnswer::close);
  return false;
}

// Strangers can do this as often as they like: of each reason the first is recorded, then one a
// second with the number of all that came since.
void GatewayLoop::certificate_refused(const std::string& peer_ip, std::string_view reason) {
  RefusedCertificates& refused = refused_certificates_[reason];
  ++refused.count;
  const SteadyTime now = context_.loop.now();
  if (now < refused.quiet_until) return;
  refused.quiet_until = now + std::chrono::seconds(1);
  domain::Event event;
  event.kind = domain::EventKind::request;
  event.outcome = domain::Outcome::denied;
  event.time = clock_.now();
  event.region = options_.region;
  event.source_ip = peer_ip;
  event.operation = "tls.handshake";
  event.reason = reason;
  event.details = {{"refused", std::to_string(std::exchange(refused.count, 0))}};
  gate_.note(std::move(event));
}

}  // namespace domicile::gateway
