// Between a loop and the EventSink: no decision without its event. A strict event is waited for; a
// bounded one is handed over and counted until it is durable, and refused when too many are under
// way. When a bounded event turns out to be lost, the gate stops being lenient: every event is
// waited for until one is durable again. One per loop; submit from its thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "domain/event.h"
#include "http/metrics.h"
#include "policy/route_policy.h"
#include "runtime/loop.h"

namespace domicile::gateway {

class EventGate {
 public:
  EventGate(domain::EventSink& sink, runtime::Loop& loop, std::size_t bounded_max,
            http::Metrics& metrics);

  // On the loop's thread, once, later: true when the event is durable. Dropped when the loop ends.
  using Decided = std::move_only_function<void(bool durable)>;
  enum class Verdict { go_on, wait, refused };
  // What is asked for, or more while events get lost. Pass its answer to submit().
  policy::AuditStrictness in_force(policy::AuditStrictness asked) const;
  // strict: wait, and `decided` will be called. bounded: go_on or refused, and it will not.
  Verdict submit(domain::Event event, policy::AuditStrictness strictness, Decided decided);
  // For denials, which stand whether or not they can be recorded.
  void note(domain::Event event);

 private:
  struct Shared {
    std::atomic<std::size_t> under_way{0};
    std::atomic<bool> degraded{false};
    std::atomic<std::uint64_t> lost{0};
  };

  domain::EventSink& sink_;
  runtime::Loop& loop_;
  std::size_t bounded_max_;
  std::shared_ptr<Shared> shared_;
  http::Counter& refused_;
};

}  // namespace domicile::gateway
