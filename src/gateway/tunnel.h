// A WebSocket tunnel: what a client and its application say to each other after a permitted
// handshake, byte for byte, with bounded memory both ways. The right to it is asked again, not
// assumed: at the token's or grant's expiry, and whenever the registry's snapshot, the routes, the
// revocations or the trusted issuers change. When it is gone, both sides get a close frame with the
// reason (1008), between two frames or not at all, and the tunnel ends at once. Draining ends
// tunnels too (1001): clients connect again, elsewhere.
//
// The end is an event, with its reason and how much was carried. All on the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/event.h"
#include "domain/principal.h"
#include "http/exchange.h"
#include "http/upstream_pool.h"
#include "runtime/timer.h"
#include "wire/websocket.h"

namespace domicile::gateway {

class GatewayLoop;
class Tunnels;

// What the handshake was permitted for, kept to be decided again.
struct TunnelRight {
  std::shared_ptr<const domain::Principal> principal;  // null on public routes
  std::string path;
  std::string organization_header;
  std::string accept;   // the only Sec-WebSocket-Accept that answers it
  domain::Event event;  // of the handshake; again when the tunnel ends
};

class Tunnel final : public http::Responder,
                     public runtime::Disposable,
                     private http::UpstreamConnection::User {
 public:
  Tunnel(GatewayLoop& gateway, Tunnels& owner, http::Exchange& client,
         http::UpstreamConnection& upstream, TunnelRight right);

  // `head` is the upstream's 101, still to be sent.
  void begin(const wire::ResponseHead& head, std::string_view from_upstream);
  void end(std::uint16_t code, std::string_view reason);
  void check();
  const domain::Principal* principal() const { return right_.principal.get(); }

 private:
  friend class Tunnels;
  void on_body(std::string_view bytes) override;
  void on_body_end() override;
  void on_drained() override;
  void on_gone() override;
  void on_upstream_readable() override;
  void on_upstream_drained() override;
  void on_upstream_broken() override;

  bool to_client(std::string_view bytes);
  void set_expiry();
  void over(std::string_view reason);

  GatewayLoop& gateway_;
  Tunnels& owner_;
  http::Exchange* client_;
  http::UpstreamConnection* upstream_;
  TunnelRight right_;
  runtime::Timer expiry_;
  runtime::Timer idle_;
  wire::FrameTracker up_{wire::FrameTracker::Sender::client};
  wire::FrameTracker down_{wire::FrameTracker::Sender::server};
  SteadyTime begun_;
  std::uint64_t bytes_up_ = 0;
  std::uint64_t bytes_down_ = 0;
  std::size_t index_ = 0;
  bool paused_ = false;
};

class Tunnels {
 public:
  Tunnels(GatewayLoop& gateway, http::Metrics& metrics);
  ~Tunnels();

  void start(http::Exchange& client, http::UpstreamConnection& upstream, TunnelRight right,
             const wire::ResponseHead& head, std::string_view from_upstream);
  void check_all();
  void end_of_issuer(std::string_view issuer);
  void drain();

 private:
  friend class Tunnel;
  void remove(Tunnel& tunnel);

  GatewayLoop& gateway_;
  http::Counter& open_;
  http::Counter& total_;
  std::vector<std::unique_ptr<Tunnel>> all_;  // each knows its index
};

}  // namespace domicile::gateway
