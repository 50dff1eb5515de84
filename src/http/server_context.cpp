#include "http/server_context.h"

#include <random>
#include <utility>

#include "base/check.h"

namespace domicile::http {
namespace {

void put_hex(std::uint64_t value, char* out) {
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

std::uint64_t random_bits() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace

RequestIds::RequestIds() : base_(random_bits()), count_(random_bits()) {}

void RequestIds::next(std::array<char, kSize>& out) {
  put_hex(base_, out.data());
  // An odd multiplier maps 64 bits one to one: no value comes twice.
  put_hex(++count_ * 0x9e3779b97f4a7c15u, out.data() + 16);
}

ServerCounters::ServerCounters(Metrics& metrics)
    : connections_total(metrics.counter("domicile_http_connections_total", "Accepted.")),
      connections_open(
          metrics.counter("domicile_http_connections_open", "Open now.", "", Metrics::Kind::gauge)),
      connections_refused(metrics.counter("domicile_http_connections_refused_total",
                                          "Closed at once: too many, or out of descriptors.")),
      handshakes_failed(
          metrics.counter("domicile_http_handshakes_failed_total", "TLS that never came up.")),
      requests_total(metrics.counter("domicile_http_requests_total", "Whole request heads.")),
      malformed_total(metrics.counter("domicile_http_malformed_total", "Refused by the codec.")),
      timeouts_total(metrics.counter("domicile_http_timeouts_total", "Clients too slow.")),
      http2_connections(
          metrics.counter("domicile_http2_connections_total", "Connections that speak HTTP/2.")),
      http2_abuses(metrics.counter("domicile_http2_abuses_total",
                                   "HTTP/2 connections ended for what the client sent.")),
      answer_seconds(metrics.histogram("domicile_http_answer_seconds",
                                       "From a request's whole head to its answer's head.")) {
  answers[0] = nullptr;
  for (std::size_t i = 1; i < answers.size(); ++i) {
    answers[i] = &metrics.counter("domicile_http_answers_total", "By class of status.",
                                  "class=\"" + std::to_string(i) + "xx\"");
  }
}

void ServerCounters::count_answer(int status, SteadyTime::duration after) {
  answer_seconds.observe(std::chrono::duration_cast<std::chrono::microseconds>(after));
  const auto hundreds = static_cast<std::size_t>(status / 100);
  if (hundreds > 0 && hundreds < answers.size()) answers[hundreds]->add();
}

ServerContext::ServerContext(runtime::Loop& event_loop, const ServerLimits& server_limits,
                             Metrics& metrics)
    : loop(event_loop),
      limits(server_limits),
      counters(metrics),
      path_scratch(2 * server_limits.head.target_bytes_max) {}

ServerContext::~ServerContext() { destroy_all(); }

std::string_view ServerContext::date() {
  const std::time_t now = loop.clock().unix_seconds();
  if (now != date_second_) {
    date_second_ = now;
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::strftime(date_.data(), date_.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  }
  return {date_.data(), 29};
}

void ServerContext::add(std::unique_ptr<ClientConnection> connection) {
  connection->index_ = connections_.size();
  connections_.push_back(std::move(connection));
  counters.connections_total.add();
  counters.connections_open.add();
}

void ServerContext::remove(ClientConnection& connection) {
  const std::size_t index = connection.index_;
  CHECK(index < connections_.size() && connections_[index].get() == &connection);
  loop.destroy_later(std::move(connections_[index]));
  if (index + 1 != connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index_ = index;
  }
  connections_.pop_back();
  counters.connections_open.subtract();
  if (connections_.empty() && on_empty) on_empty();
}

void ServerContext::replace(ClientConnection& connection, std::unique_ptr<ClientConnection> next) {
  const std::size_t index = connection.index_;
  CHECK(index < connections_.size() && connections_[index].get() == &connection);
  next->index_ = index;
  loop.destroy_later(std::exchange(connections_[index], std::move(next)));
}

// Backwards, because a connection that ends gives its place to the last one.
void ServerContext::tell_drain() {
  for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->drain_begun();
}

void ServerContext::close_idle() {
  for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->end_if_idle();
}

void ServerContext::check_certificates(const runtime::TlsContext& tls) {
  for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->check_certificate(tls);
}

void ServerContext::destroy_all() {
  while (!connections_.empty()) connections_.back()->cut();
}

}  // namespace domicile::http
