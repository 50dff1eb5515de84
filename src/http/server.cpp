#include "http/server.h"

#include <utility>

#include <fmt/format.h>

#include "http/server_worker.h"
#include "runtime/socket.h"

namespace domicile::http {

using runtime::Fd;
using runtime::TlsContext;

Server::Server(ListenerOptions listener, ServerLimits limits)
    : listener_(std::move(listener)), limits_(std::make_unique<const ServerLimits>(limits)) {}

Server::~Server() { stop(); }

namespace {
Result<std::shared_ptr<const TlsContext>> make_tls(const ListenerOptions& listener,
                                                   const ServerLimits& limits) {
  if (!listener.tls) return nullptr;
  std::vector<std::string> protocols = {"http/1.1"};
  if (limits.http2.offered) protocols.insert(protocols.begin(), "h2");
  return TlsContext::server(listener.tls_files.certificate_path, listener.tls_files.key_path,
                            protocols, listener.client_authorities);
}
}  // namespace

Result<std::unique_ptr<Server>> Server::create(ListenerOptions listener, ServerLimits limits,
                                               const Clock& clock, Metrics& metrics,
                                               const ServiceFactory& factory) {
  if (listener.loops == 0 || listener.loops > 256) {
    return fail(Code::invalid, fmt::format("loops = {}: give 1 to 256", listener.loops));
  }
  const auto tls = TRY(make_tls(listener, limits));
  auto address = TRY(runtime::numeric_address(listener.address, listener.port));
  std::unique_ptr<Server> server(new Server(listener, limits));
  // The port is taken alone, so that nobody else is on it, another node of the same user least of
  // all; then the other loops join it. Port 0 is chosen here.
  Fd first = TRY(runtime::listen_tcp(address));
  address = TRY(runtime::bound_address(first));
  if (listener.loops > 1) TRY(runtime::share_port(first));
  for (unsigned i = 0; i < listener.loops; ++i) {
    auto loop = TRY(runtime::Loop::create(clock));
    Fd fd = i == 0 ? std::move(first) : TRY(runtime::listen_tcp(address, runtime::Port::shared));
    auto worker = std::make_unique<ServerWorker>(std::move(loop), std::move(fd), tls,
                                                 *server->limits_, metrics);
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
  const auto tls = TRY(make_tls(listener_, *limits_));
  for (auto& worker : workers_) {
    worker->mailbox().post([worker = worker.get(), tls] { worker->set_tls(tls); });
  }
  return {};
}

std::size_t Server::drain(std::chrono::milliseconds deadline) {
  for (auto& worker : workers_) {
    worker->mailbox().post([worker = worker.get()] { worker->drain(); });
  }
  const auto until = std::chrono::steady_clock::now() + deadline;
  std::size_t left = 0;
  for (auto& worker : workers_) {
    if (worker->running() && !worker->wait_until_empty(until)) left += worker->open_connections();
  }
  return left;
}

void Server::stop() {
  for (auto& worker : workers_) worker->stop();
}

}  // namespace domicile::http
