#include "http/upstream_health.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::http {
namespace {

std::int64_t ns_of(SteadyTime time) {
  return std::max<std::int64_t>(1, time.time_since_epoch().count());
}

}  // namespace

UpstreamHealth::UpstreamHealth(std::string name, std::vector<runtime::Address> addresses,
                               CircuitOptions options)
    : name_(std::move(name)),
      addresses_(std::move(addresses)),
      options_(options),
      circuits_(addresses_.size()) {}

std::chrono::nanoseconds UpstreamHealth::delay(std::uint32_t failures) const {
  const unsigned doublings = std::min(failures - options_.failures_to_open, 20u);
  return std::min<std::chrono::nanoseconds>(options_.retry_first_ms * (1u << doublings),
                                            options_.retry_max_ms);
}

bool UpstreamHealth::admit(std::size_t address, SteadyTime now) {
  Circuit& circuit = circuits_[address];
  std::int64_t retry_at = circuit.retry_at_ns.load(std::memory_order_relaxed);
  if (retry_at == 0) return true;
  if (ns_of(now) < retry_at) return false;
  // A trial that never comes to an end (its client left) is followed by another.
  const auto failures = std::max(circuit.failures.load(), options_.failures_to_open);
  return circuit.retry_at_ns.compare_exchange_strong(retry_at, ns_of(now + delay(failures)));
}

void UpstreamHealth::succeeded(std::size_t address) {
  Circuit& circuit = circuits_[address];
  if (circuit.failures.load(std::memory_order_relaxed) == 0) return;
  circuit.failures.store(0);
  if (circuit.retry_at_ns.exchange(0) != 0) {
    log_info("upstream",
             fmt::format("{}: {} takes connections again", name_, addresses_[address].text()));
  }
}

void UpstreamHealth::failed(std::size_t address, SteadyTime now) {
  Circuit& circuit = circuits_[address];
  const std::uint32_t failures = circuit.failures.fetch_add(1) + 1;
  if (failures < options_.failures_to_open) return;
  if (circuit.retry_at_ns.exchange(ns_of(now + delay(failures))) != 0) return;
  opened_total_.fetch_add(1, std::memory_order_relaxed);
  log_warning("upstream", fmt::format("{}: {} connections in a row to {} failed; it is left alone, "
                                      "and tried again after at most {} ms",
                                      name_, failures, addresses_[address].text(),
                                      options_.retry_max_ms.count()));
}

std::size_t UpstreamHealth::open_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      circuits_, [](const Circuit& circuit) { return circuit.retry_at_ns.load() != 0; }));
}

std::chrono::nanoseconds UpstreamHealth::next_trial(SteadyTime now) const {
  std::int64_t soonest = INT64_MAX;
  for (const Circuit& circuit : circuits_) {
    soonest = std::min(soonest, circuit.retry_at_ns.load(std::memory_order_relaxed));
  }
  return std::chrono::nanoseconds(std::max<std::int64_t>(0, soonest - ns_of(now)));
}

}  // namespace domicile::http
