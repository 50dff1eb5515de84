#include "http/server_worker.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/server_connection.h"
#include "runtime/socket.h"

namespace domicile::http {

using runtime::Fd;
using runtime::Timer;

ServerWorker::ServerWorker(std::unique_ptr<runtime::Loop> loop, Fd listener,
                           std::shared_ptr<const runtime::TlsContext> tls,
                           const ServerLimits& limits, Metrics& metrics)
    : loop_(std::move(loop)),
      context_(*loop_, limits, metrics),
      listener_(std::move(listener)),
      tls_(std::move(tls)),
      accept_timer_(std::make_unique<Timer>(*loop_,
                                            [this] {
                                              if (context_.draining) {
                                                close_listener();
                                              } else {
                                                listen();
                                              }
                                            })),
      idle_timer_(std::make_unique<Timer>(*loop_, [this] {
        context_.close_idle();
        tell_if_empty();
      })) {}

ServerWorker::~ServerWorker() {
  stop();
  context_.destroy_all();
  context_.service = nullptr;
  service_.reset();
  accept_timer_.reset();
  idle_timer_.reset();
}

void ServerWorker::set_service(std::unique_ptr<Service> service) {
  service_ = std::move(service);
  context_.service = service_.get();
}

void ServerWorker::start() {
  mailbox().post([this] { listen(); });
  thread_ = std::thread([this] { loop_->run(); });
}

void ServerWorker::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

bool ServerWorker::wait_until_empty(std::chrono::steady_clock::time_point until) {
  return empty_future_.wait_until(until) == std::future_status::ready;
}

void ServerWorker::drain() {
  if (std::exchange(context_.draining, true)) return;
  service_->drain();
  context_.tell_drain();
  context_.on_empty = [this] { tell_if_empty(); };
  idle_timer_->set_after(context_.limits.drain_idle_ms);
  if (runtime::stop_new_connections(listener_)) {
    accept_timer_->set_after(context_.limits.drain_accept_ms);
  } else {
    close_listener();  // a new connection could always come: nothing is won by waiting
  }
}

void ServerWorker::close_listener() {
  while (listener_.valid() && accept_one()) {
  }
  loop_->unwatch(listener_, *this);
  listener_.reset();
  accept_timer_->cancel();
  tell_if_empty();
}

void ServerWorker::tell_if_empty() {
  const bool empty = context_.draining && !listener_.valid() && context_.size() == 0;
  if (empty && !std::exchange(told_empty_, true)) empty_.set_value();
}

void ServerWorker::listen() {
  if (!listener_.valid()) return;
  if (auto watched = loop_->watch_input(listener_, *this); !watched) {
    log_error("http", watched.error().message);
  }
}

void ServerWorker::on_events(std::uint32_t) {
  constexpr int kAcceptsPerTurn = 64;
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!accept_one()) return;
  }
}

// False when nobody waits, or nobody can be accepted now.
bool ServerWorker::accept_one() {
  runtime::Address peer;
  peer.size = sizeof peer.storage;
  Fd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                  SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause_accepting();
    }
    return errno == ECONNABORTED || errno == EINTR;
  }
  if (context_.size() >= context_.limits.connections_max_per_loop) {
    context_.counters.connections_refused.add();
    return true;
  }
  runtime::set_no_delay(fd);
  runtime::SslPtr tls;
  if (tls_ && !(tls = tls_->accept(fd.get()))) return true;
  context_.add(
      std::make_unique<ServerConnection>(context_, std::move(fd), std::move(tls), peer.ip()));
  return true;
}

// Out of descriptors or memory: what is open goes on, new ones wait in the kernel for a moment.
void ServerWorker::pause_accepting() {
  log_warning("http", fmt::format("cannot accept: {}; raise the limit of open files (ulimit -n)",
                                  std::generic_category().message(errno)));
  context_.counters.connections_refused.add();
  if (context_.draining) return;  // the timer is the listener's end already
  loop_->unwatch(listener_, *this);
  accept_timer_->set_after(std::chrono::milliseconds(100));
}

}  // namespace domicile::http
