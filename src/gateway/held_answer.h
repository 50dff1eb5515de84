// A yes that waits for its event to be durable, and is given only if the decision still holds then:
// the organization may have moved meanwhile. Reused for many answers of its loop, one at a time; it
// stays taken until the record's fate is known, also when the client has gone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "domain/event.h"
#include "http/exchange.h"
#include "policy/route.h"
#include "runtime/timer.h"

namespace domicile::gateway {

class DecisionEndpoint;
class GatewayLoop;

class HeldAnswer final : public http::Responder {
 public:
  struct Held {
    std::shared_ptr<const policy::RoutePolicy> policy;  // owns the permit's rule
    std::shared_ptr<const domain::RegistrySnapshot> snapshot;
    std::shared_ptr<const domain::Principal> principal;
    policy::Permit permit;
    domain::Event event;  // again, should the permit not hold
    std::string fields;
    std::string body;  // JSON, or empty
  };
  HeldAnswer(GatewayLoop& gateway, DecisionEndpoint& owner);

  void hold(http::Exchange& exchange, Held held);
  void give();  // at once: the event may become durable later
  void wait();
  void recorded(bool durable);
  void put_back();

 private:
  void on_body(std::string_view) override {}  // nobody asked for one
  void on_body_end() override {}
  void on_gone() override { exchange_ = nullptr; }
  void on_deadline();

  GatewayLoop& gateway_;
  DecisionEndpoint& owner_;
  runtime::Timer timer_;
  http::Exchange* exchange_ = nullptr;
  std::optional<Held> held_;
};

}  // namespace domicile::gateway
