#include "gateway/held_answer.h"

#include <utility>

#include "gateway/decision_endpoint.h"
#include "gateway/gateway_loop.h"
#include "gateway/refusal.h"

namespace domicile::gateway {

HeldAnswer::HeldAnswer(GatewayLoop& gateway, DecisionEndpoint& owner)
    : gateway_(gateway), owner_(owner), timer_(gateway.context().loop, [this] { on_deadline(); }) {}

void HeldAnswer::hold(http::Exchange& exchange, Held held) {
  exchange_ = &exchange;
  held_.emplace(std::move(held));
}

void HeldAnswer::wait() { timer_.set_after(gateway_.options().record_ms); }

void HeldAnswer::give() {
  http::Exchange& exchange = *exchange_;
  const Held held = std::move(*held_);
  put_back();
  exchange.answer(200, held.fields, held.body.empty() ? "" : "application/json", held.body);
}

void HeldAnswer::recorded(bool durable) {
  timer_.cancel();
  if (exchange_ == nullptr) {
    put_back();
    return;
  }
  http::Exchange& exchange = *exchange_;
  if (!durable) {
    put_back();
    refuse_unrecorded(exchange);
    return;
  }
  const auto snapshot = gateway_.snapshot();
  if (held_->snapshot != snapshot) {
    if (const auto route = policy::route(held_->permit, *snapshot); !route) {
      domain::Event event = std::move(held_->event);
      put_back();
      gateway_.refuse_late(exchange, route.error(), std::move(event));
      return;
    }
  }
  give();
}

void HeldAnswer::on_deadline() {
  if (exchange_ == nullptr) return;
  refuse_unrecorded(*std::exchange(exchange_, nullptr));  // recorded() comes when it comes
}

void HeldAnswer::put_back() {
  timer_.cancel();
  exchange_ = nullptr;
  held_.reset();
  owner_.free_.push_back(this);
}

}  // namespace domicile::gateway
