// One loop of a server with its thread, its listening socket and its Service. Built before its
// thread starts and destroyed after it ends; between, other threads reach it through mailbox().
//
// Draining, in the loop's own time: the kernel stops answering new SYNs, what it has already begun
// is accepted for a moment more, then the listener closes; every answer from the first moment on
// says that the connection closes; idle connections may bring one more request, and are looked at
// once more before they are closed.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "http/exchange.h"
#include "http/server_context.h"
#include "runtime/loop.h"
#include "runtime/timer.h"
#include "runtime/tls.h"

namespace domicile::http {

class ServerWorker final : private runtime::Loop::Watcher {
 public:
  ServerWorker(std::unique_ptr<runtime::Loop> loop, runtime::Fd listener,
               std::shared_ptr<const runtime::TlsContext> tls, const ServerLimits& limits,
               Metrics& metrics);
  ~ServerWorker();

  ServerContext& context() { return context_; }
  runtime::Loop::Mailbox& mailbox() { return *loop_->mailbox(); }
  void set_service(std::unique_ptr<Service> service);

  void start();
  void stop();
  bool running() const { return thread_.joinable(); }
  bool wait_until_empty(std::chrono::steady_clock::time_point until);
  std::size_t open_connections() const { return context_.counters.connections_open.value(); }

  // On the loop's thread, by message.
  Service& service() { return *service_; }
  void set_tls(std::shared_ptr<const runtime::TlsContext> tls) {
    tls_ = std::move(tls);
    context_.check_certificates(*tls_);
  }
  void drain();

 private:
  void on_events(std::uint32_t events) override;
  void listen();
  bool accept_one();
  void pause_accepting();
  void close_listener();
  void tell_if_empty();

  std::unique_ptr<runtime::Loop> loop_;
  ServerContext context_;
  runtime::Fd listener_;
  std::shared_ptr<const runtime::TlsContext> tls_;
  std::unique_ptr<runtime::Timer> accept_timer_;  // tries again; while draining: stops
  std::unique_ptr<runtime::Timer> idle_timer_;    // while draining: idle connections end
  std::unique_ptr<Service> service_;
  bool told_empty_ = false;
  std::promise<void> empty_;
  std::future<void> empty_future_ = empty_.get_future();
  std::thread thread_;
};

}  // namespace domicile::http
