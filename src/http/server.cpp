#include "http/server.h"

#include <cerrno>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/server_connection.h"
#include "http/server_context.h"
#include "runtime/socket.h"

namespace domicile::http {

using runtime::Fd;
using runtime::TlsContext;

// One loop with its thread, its listening socket and its Service.
class Server::Worker final : private runtime::Loop::Watcher {
 public:
  Worker(std::unique_ptr<runtime::Loop> loop, Fd listener, std::shared_ptr<const TlsContext> tls,
         const ServerLimits& limits, Metrics& metrics)
      : loop_(std::move(loop)),
        context_(*loop_, limits, metrics),
        listener_(std::move(listener)),
        tls_(std::move(tls)),
        retry_accept_(std::make_unique<runtime::Timer>(*loop_, [this] { listen(); })) {}

  ~Worker() {
    stop();
    context_.destroy_all();
    context_.service = nullptr;
    service_.reset();
    retry_accept_.reset();
  }

  ServerContext& context() { return context_; }
  void set_service(std::unique_ptr<Service> service) {
    service_ = std::move(service);
    context_.service = service_.get();
  }
  Service& service() { return *service_; }
  runtime::Loop::Mailbox& mailbox() { return *loop_->mailbox(); }

  void start() {
    mailbox().post([this] { listen(); });
    thread_ = std::thread([this] { loop_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
  }
  bool running() const { return thread_.joinable(); }
  void drain() {
    context_.draining = true;
    loop_->unwatch(listener_, *this);
    listener_.reset();
    retry_accept_->cancel();
    context_.on_empty = [this] {
      if (!std::exchange(told_empty_, true)) empty_.set_value();
    };
    context_.close_idle();
    if (context_.size() == 0) context_.on_empty();
  }
  bool wait_until_empty(std::chrono::steady_clock::time_point until) {
    return empty_future_.wait_until(until) == std::future_status::ready;
  }
  void set_tls(std::shared_ptr<const TlsContext> tls) { tls_ = std::move(tls); }

 private:
  void listen() {
    if (listener_.valid()) {
      if (auto watched = loop_->watch_input(listener_, *this); !watched) {
        log_error("http", watched.error().message);
      }
    }
  }

  void on_events(std::uint32_t) override {
    constexpr int kAcceptsPerTurn = 64;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      runtime::Address peer;
      peer.size = sizeof peer.storage;
      Fd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          pause_accepting();
        }
        return;
      }
      if (context_.size() >= context_.limits.connections_max_per_loop) {
        context_.counters.connections_refused.add();
        continue;
      }
      runtime::set_no_delay(fd);
      runtime::SslPtr tls;
      if (tls_ && !(tls = tls_->accept(fd.get()))) continue;
      context_.add(
          std::make_unique<ServerConnection>(context_, std::move(fd), std::move(tls), peer.ip()));
    }
  }

  // Out of descriptors or memory: what is open goes on, new ones wait in the kernel for a moment.
  void pause_accepting() {
    log_warning("http", fmt::format("cannot accept: {}; raise the limit of open files (ulimit -n)",
                                    std::generic_category().message(errno)));
    context_.counters.connections_refused.add();
    loop_->unwatch(listener_, *this);
    retry_accept_->set_after(std::chrono::milliseconds(100));
  }

  std::unique_ptr<runtime::Loop> loop_;
  ServerContext context_;
  Fd listener_;
  std::shared_ptr<const TlsContext> tls_;
  std::unique_ptr<runtime::Timer> retry_accept_;
  std::unique_ptr<Service> service_;
  bool told_empty_ = false;
  std::promise<void> empty_;
  std::future<void> empty_future_ = empty_.get_future();
  std::thread thread_;
};

Server::Server(ListenerOptions listener, ServerLimits limits)
    : listener_(std::move(listener)), limits_(std::make_unique<const ServerLimits>(limits)) {}

Server::~Server() { stop(); }

namespace {
Result<std::shared_ptr<const TlsContext>> make_tls(const ListenerOptions& listener) {
  if (!listener.tls) return nullptr;
  return TlsContext::server(listener.tls_files.certificate_path, listener.tls_files.key_path,
                            {"http/1.1"});
}
}  // namespace

Result<std::unique_ptr<Server>> Server::create(ListenerOptions listener, ServerLimits limits,
                                               const Clock& clock, Metrics& metrics,
                                               const ServiceFactory& factory) {
  if (listener.loops == 0 || listener.loops > 256) {
    return fail(Code::invalid, fmt::format("loops = {}: give 1 to 256", listener.loops));
  }
  const auto tls = TRY(make_tls(listener));
  auto address = TRY(runtime::numeric_address(listener.address, listener.port));
  std::unique_ptr<Server> server(new Server(listener, limits));
  // Nobody else may be on the port, another node of the same user least of all; port 0 is chosen here.
  address = TRY(runtime::bound_address(TRY(runtime::listen_tcp(address))));
  for (unsigned i = 0; i < listener.loops; ++i) {
    auto loop = TRY(runtime::Loop::create(clock));
    Fd fd = TRY(runtime::listen_tcp(address, runtime::Port::shared));
    auto worker =
        std::make_unique<Worker>(std::move(loop), std::move(fd), tls, *server->limits_, metrics);
    worker->set_service(TRY(factory(worker->context())));
    server->workers_.push_back(std::move(worker));
  }
  server->port_ = address.port();
  return server;
}

Result<void> Server::start() {
  for (auto& worker : workers_) worker->start();
  return {};
}

std::uint16_t Server::port() const { return port_; }

void Server::post(const std::function<void(Service&)>& task) {
  for (auto& worker : workers_) {
    worker->mailbox().post([worker = worker.get(), task] { task(worker->service()); });
  }
}

Result<void> Server::reload_certificate() {
  const auto tls = TRY(make_tls(listener_));
  for (auto& worker : workers_) {
    worker->mailbox().post([worker = worker.get(), tls] { worker->set_tls(tls); });
  }
  return {};
}

void Server::drain(std::chrono::milliseconds deadline) {
  for (auto& worker : workers_) {
    worker->mailbox().post([worker = worker.get()] { worker->drain(); });
  }
  const auto until = std::chrono::steady_clock::now() + deadline;
  for (auto& worker : workers_) {
    if (worker->running() && !worker->wait_until_empty(until)) return;
  }
}

void Server::stop() {
  for (auto& worker : workers_) worker->stop();
}

}  // namespace domicile::http
