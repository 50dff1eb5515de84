// An HTTP/1.1 server: one loop, one listening socket and one Service a thread, sharing a port
// through SO_REUSEPORT. Which requests exist and how they are answered is the Service's affair.
//
// create() binds; start() serves; drain() lets what is in flight finish; stop() cuts the rest.
// Those four from one thread at a time; the others from any.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/exchange.h"
#include "http/metrics.h"
#include "http/server_options.h"

namespace domicile::http {

class ServerContext;
class ServerWorker;

class Server {
 public:
  // Called once a loop by create(); the Service lives on that loop from start() on, and is
  // destroyed after it.
  using ServiceFactory = std::function<Result<std::unique_ptr<Service>>(ServerContext&)>;

  static Result<std::unique_ptr<Server>> create(ListenerOptions listener, ServerLimits limits,
                                                const Clock& clock, Metrics& metrics,
                                                const ServiceFactory& factory);
  ~Server();  // stops

  Result<void> start();
  std::uint16_t port() const;
  // Runs a copy of `task` on every loop; dropped once the loops are stopped.
  void post(const std::function<void(Service&)>& task);
  Result<void> reload_certificate();
  // New connections are no longer taken, idle ones end, each answer is its connection's last. Waits
  // until all are gone; the number of those that the deadline left, which stop() cuts.
  std::size_t drain(std::chrono::milliseconds deadline);
  void stop();

 private:
  Server(ListenerOptions listener, ServerLimits limits);
  ListenerOptions listener_;
  std::unique_ptr<const ServerLimits> limits_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<ServerWorker>> workers_;
};

}  // namespace domicile::http
