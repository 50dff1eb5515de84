#include "gateway/tunnel.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"
#include "gateway/gateway_loop.h"
#include "token/token_error.h"

namespace domicile::gateway {
namespace {

using runtime::Connection;

constexpr int kReadsPerTurn = 16;
constexpr std::uint16_t kGoingAway = 1001, kProtocolError = 1002, kPolicy = 1008;
constexpr std::chrono::seconds kHalfClosed{30};

// Ends that nobody's right was the reason of.
bool is_plain_end(std::string_view reason) {
  return reason.empty() || reason == "idle" || reason == "draining";
}

}  // namespace

Tunnel::Tunnel(GatewayLoop& gateway, Tunnels& owner, http::Exchange& client,
               http::UpstreamConnection& upstream, TunnelRight right)
    : gateway_(gateway),
      owner_(owner),
      client_(&client),
      upstream_(&upstream),
      right_(std::move(right)),
      expiry_(gateway.context().loop,
              [this] {
                set_expiry();
                check();
              }),
      idle_(gateway.context().loop, [this] { end(kGoingAway, "idle"); }),
      begun_(gateway.context().loop.now()) {}

void Tunnel::begin(const wire::ResponseHead& head, std::string_view from_upstream) {
  upstream_->hand_over(*this);
  client_->switch_protocols(head, *this);
  idle_.set_after(gateway_.options().tunnel_idle_ms);
  set_expiry();
  if (gateway_.context().draining) {
    end(kGoingAway, "draining");
    return;
  }
  if (!from_upstream.empty() && !to_client(from_upstream)) return;
  upstream_->io().resume_reading();
}

// The next moment at which the token or one of its grants ends; when that has come and the door's
// clocks still allow it, a second later.
void Tunnel::set_expiry() {
  if (right_.principal == nullptr) return;
  const std::int64_t now_s = gateway_.clock().unix_seconds();
  std::int64_t next = right_.principal->expires_at;
  for (const domain::Grant& grant : right_.principal->grants) {
    if (grant.expires_at > now_s) next = std::min(next, grant.expires_at);
  }
  constexpr std::int64_t kDayS = 86'400;
  expiry_.set_after(std::chrono::seconds(std::clamp<std::int64_t>(next - now_s, 1, kDayS)));
}

void Tunnel::check() {
  if (const std::string_view reason = gateway_.why_not(right_); !reason.empty()) {
    end(kPolicy, reason);
  }
}

void Tunnel::on_body(std::string_view bytes) {
  idle_.set_after(gateway_.options().tunnel_idle_ms);
  bytes_up_ += bytes.size();
  if (!up_.feed(bytes)) {
    end(kProtocolError, "websocket_malformed");
    return;
  }
  upstream_->io().write(bytes);
  if (upstream_->io().backlog() > gateway_.options().limits.output_bytes_high) {
    client_->pause_body();
  }
}

void Tunnel::on_body_end() {
  upstream_->io().finish_writing();
  idle_.set_after(
      std::min<std::chrono::milliseconds>(gateway_.options().tunnel_idle_ms, kHalfClosed));
}

void Tunnel::on_upstream_drained() { client_->want_body(); }

void Tunnel::on_drained() {
  if (std::exchange(paused_, false)) upstream_->io().resume_reading();
}

void Tunnel::on_gone() {
  client_ = nullptr;
  over("");
}

// False once the tunnel is over.
bool Tunnel::to_client(std::string_view bytes) {
  idle_.set_after(gateway_.options().tunnel_idle_ms);
  bytes_down_ += bytes.size();
  if (!down_.feed(bytes)) {
    http::Exchange& client = *std::exchange(client_, nullptr);
    over("upstream_malformed");
    client.abort();
    return false;
  }
  if (!client_->send(bytes)) paused_ = true;
  return true;
}

void Tunnel::on_upstream_readable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (paused_ || !upstream_->io().readable()) return;
    const auto read = upstream_->io().read();
    switch (read.state) {
      case Connection::ReadState::data:
        if (!to_client(read.bytes)) return;
        break;
      case Connection::ReadState::again: return;
      case Connection::ReadState::end: over(""); return;
      case Connection::ReadState::broken: on_upstream_broken(); return;
    }
  }
  upstream_->io().resume_reading();
}

void Tunnel::on_upstream_broken() {
  if (down_.closed()) {  // it had said good-bye
    over("");
    return;
  }
  http::Exchange& client = *std::exchange(client_, nullptr);
  over("upstream_closed");
  client.abort();
}

void Tunnel::end(std::uint16_t code, std::string_view reason) {
  if (down_.at_boundary() && !down_.closed()) {
    client_->send(wire::server_close_frame(code, reason));
  }
  if (up_.at_boundary() && !up_.closed()) {
    std::random_device random;
    upstream_->io().write(wire::client_close_frame(code, reason, random()));
  }
  over(reason);
}

void Tunnel::over(std::string_view reason) {
  idle_.cancel();
  expiry_.cancel();
  upstream_->discard();
  const auto lasted = gateway_.context().loop.now() - begun_;
  domain::Event event = std::move(right_.event);
  event.time = gateway_.clock().now();
  event.outcome = is_plain_end(reason) ? domain::Outcome::allowed : domain::Outcome::denied;
  event.reason = reason;
  event.details = {
      {"tunnel", "ended"},
      {"bytes_from_client", std::to_string(bytes_up_)},
      {"bytes_to_client", std::to_string(bytes_down_)},
      {"seconds",
       std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lasted).count())}};
  gateway_.gate().note(std::move(event));
  http::Exchange* client = std::exchange(client_, nullptr);
  owner_.remove(*this);
  if (client != nullptr) client->finish();
}

Tunnels::Tunnels(GatewayLoop& gateway, http::Metrics& metrics)
    : gateway_(gateway),
      open_(metrics.counter("domicile_gateway_tunnels_open", "WebSocket tunnels open now.", "",
                            http::Metrics::Kind::gauge)),
      total_(metrics.counter("domicile_gateway_tunnels_total", "WebSocket tunnels begun.")) {}

Tunnels::~Tunnels() = default;

void Tunnels::start(http::Exchange& client, http::UpstreamConnection& upstream, TunnelRight right,
                    const wire::ResponseHead& head, std::string_view from_upstream) {
  all_.push_back(std::make_unique<Tunnel>(gateway_, *this, client, upstream, std::move(right)));
  Tunnel& tunnel = *all_.back();
  tunnel.index_ = all_.size() - 1;
  open_.add();
  total_.add();
  tunnel.begin(head, from_upstream);
}

// Backwards, because a tunnel that ends gives its place to the last one.
void Tunnels::check_all() {
  for (std::size_t i = all_.size(); i-- > 0;) all_[i]->check();
}

void Tunnels::end_of_issuer(std::string_view issuer) {
  for (std::size_t i = all_.size(); i-- > 0;) {
    const domain::Principal* principal = all_[i]->principal();
    if (principal != nullptr && principal->issuer == issuer) {
      all_[i]->end(kPolicy, token::reason::issuer);
    }
  }
}

void Tunnels::drain() {
  for (std::size_t i = all_.size(); i-- > 0;) all_[i]->end(kGoingAway, "draining");
}

void Tunnels::remove(Tunnel& tunnel) {
  const std::size_t index = tunnel.index_;
  CHECK(index < all_.size() && all_[index].get() == &tunnel);
  gateway_.context().loop.destroy_later(std::move(all_[index]));
  if (index + 1 != all_.size()) {
    all_[index] = std::move(all_.back());
    all_[index]->index_ = index;
  }
  all_.pop_back();
  open_.subtract();
}

}  // namespace domicile::gateway
