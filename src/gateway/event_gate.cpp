#include "gateway/event_gate.h"

namespace domicile::gateway {

EventGate::EventGate(domain::EventSink& sink, runtime::Loop& loop, std::size_t bounded_max,
                     http::Metrics& metrics)
    : sink_(sink),
      loop_(loop),
      bounded_max_(bounded_max),
      shared_(std::make_shared<Shared>()),
      refused_(metrics.counter("domicile_gateway_events_refused_total",
                               "Requests refused because their event could not be recorded.")) {
  metrics.read("domicile_gateway_events_lost_total", "Bounded events that never became durable.",
               http::Metrics::Kind::counter,
               [shared = shared_] { return static_cast<double>(shared->lost.load()); });
  metrics.read("domicile_gateway_events_under_way", "Bounded events that are not durable yet.",
               http::Metrics::Kind::gauge,
               [shared = shared_] { return static_cast<double>(shared->under_way.load()); });
}

policy::AuditStrictness EventGate::in_force(policy::AuditStrictness asked) const {
  return shared_->degraded.load(std::memory_order_relaxed) ? policy::AuditStrictness::strict
                                                           : asked;
}

EventGate::Verdict EventGate::submit(domain::Event event, policy::AuditStrictness strictness,
                                     Decided decided) {
  if (strictness == policy::AuditStrictness::bounded) {
    if (shared_->under_way.load(std::memory_order_relaxed) >= bounded_max_) {
      refused_.add();
      return Verdict::refused;
    }
    note(std::move(event));
    return Verdict::go_on;
  }
  sink_.submit(std::move(event), [shared = shared_, mailbox = loop_.mailbox(), &refused = refused_,
                                  decided = std::move(decided)](auto result) mutable {
    const bool durable = result.has_value();
    if (durable) shared->degraded = false;
    mailbox->post([decided = std::move(decided), durable, &refused]() mutable {
      if (!durable) refused.add();
      decided(durable);
    });
  });
  return Verdict::wait;
}

void EventGate::note(domain::Event event) {
  shared_->under_way.fetch_add(1, std::memory_order_relaxed);
  sink_.submit_unhurried(std::move(event), [shared = shared_](auto result) {
    shared->under_way.fetch_sub(1, std::memory_order_relaxed);
    if (!result.has_value()) {
      shared->lost.fetch_add(1, std::memory_order_relaxed);
      shared->degraded = true;
    }
  });
}

}  // namespace domicile::gateway
