// What all loops of a door together know about the addresses of one upstream: a circuit for each.
// It opens when several connections in a row could not be made, and is tried again by one request
// after a delay that doubles up to a limit; the first connection that comes up closes it.
//
// Only connections count, never answers: what an application does with a request can be one
// tenant's doing, and must not take the application away from the others.
//
// Lock-free, any thread. Requests on kept connections do not come here at all; a new connection
// costs one load of a value that seldom changes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "runtime/socket.h"

namespace domicile::http {

struct CircuitOptions {
  unsigned failures_to_open = 3;  // in a row
  std::chrono::milliseconds retry_first_ms{250};
  std::chrono::milliseconds retry_max_ms{5'000};
};

class UpstreamHealth {
 public:
  UpstreamHealth(std::string name, std::vector<runtime::Address> addresses, CircuitOptions options);

  const std::vector<runtime::Address>& addresses() const { return addresses_; }
  const std::string& name() const { return name_; }

  // Whether a connection may be tried. Where the circuit is open and its time has come, one caller
  // in a delay's length gets the yes: the trial.
  bool admit(std::size_t address, SteadyTime now);
  void succeeded(std::size_t address);
  void failed(std::size_t address, SteadyTime now);

  std::size_t open_count() const;  // circuits that are open
  std::uint64_t opened_total() const { return opened_total_.load(std::memory_order_relaxed); }
  // How long until some address may be tried: for Retry-After.
  std::chrono::nanoseconds next_trial(SteadyTime now) const;

 private:
  struct Circuit {
    std::atomic<std::uint32_t> failures{0};
    std::atomic<std::int64_t> retry_at_ns{0};  // 0: closed
  };
  std::chrono::nanoseconds delay(std::uint32_t failures) const;

  const std::string name_;
  const std::vector<runtime::Address> addresses_;
  const CircuitOptions options_;
  std::vector<Circuit> circuits_;
  std::atomic<std::uint64_t> opened_total_{0};
};

}  // namespace domicile::http
