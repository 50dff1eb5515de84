#include "http/upstream_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace domicile::http {

using runtime::Fd;

UpstreamCounters::UpstreamCounters(Metrics& metrics)
    : opened(metrics.counter("domicile_http_upstream_connections_total", "Opened.")),
      reused(metrics.counter("domicile_http_upstream_reuses_total",
                             "Requests on a connection that was there already.")) {}

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, Fd fd)
    : pool_(pool),
      connection_(pool.loop_, std::move(fd), nullptr, true, *this),
      expiry_(pool.loop_, [this] { discard(); }) {}

void UpstreamConnection::release() {
  user_ = nullptr;
  if (!connection_.open() || connection_.backlog() > 0 ||
      pool_.idle_.size() >= pool_.options_.idle_max) {
    discard();
    return;
  }
  expiry_.set_after(pool_.options_.keep_ms);
  pool_.idle_.push_back(this);
}

void UpstreamConnection::discard() {
  user_ = nullptr;
  connection_.close();
  pool_.remove(*this);
}

void UpstreamConnection::on_connected() {
  if (user_ != nullptr) user_->on_upstream_connected();
}

void UpstreamConnection::on_readable() {
  if (user_ != nullptr) {
    user_->on_upstream_readable();
    return;
  }
  // Idle: an end, or bytes that answer no question. Only "nothing yet" keeps it.
  if (connection_.read().state != runtime::Connection::ReadState::again) discard();
}

void UpstreamConnection::on_drained() {
  if (user_ != nullptr) user_->on_upstream_drained();
}

void UpstreamConnection::on_broken() {
  if (user_ != nullptr) {
    user_->on_upstream_broken();
  } else {
    discard();
  }
}

UpstreamPool::UpstreamPool(runtime::Loop& loop, std::vector<runtime::Address> addresses,
                           const UpstreamOptions& options, UpstreamCounters& counters)
    : loop_(loop), addresses_(std::move(addresses)), options_(options), counters_(counters) {
  CHECK(!addresses_.empty());
}

UpstreamPool::~UpstreamPool() = default;

UpstreamConnection* UpstreamPool::take(UpstreamConnection::User& user, Want want) {
  UpstreamConnection* connection = nullptr;
  if (want == Want::any && !idle_.empty()) {
    connection = idle_.back();
    idle_.pop_back();
    connection->expiry_.cancel();
    counters_.reused.add();
  } else {
    auto fd = runtime::connect_tcp(addresses_[address_ % addresses_.size()]);
    if (!fd) return nullptr;
    all_.push_back(std::make_unique<UpstreamConnection>(*this, std::move(*fd)));
    connection = all_.back().get();
    connection->index_ = all_.size() - 1;
    counters_.opened.add();
  }
  connection->user_ = &user;
  ++connection->uses_;
  return connection;
}

void UpstreamPool::remove(UpstreamConnection& connection) {
  const std::size_t index = connection.index_;
  if (index >= all_.size() || all_[index].get() != &connection) return;  // already removed
  std::erase(idle_, &connection);
  loop_.destroy_later(std::move(all_[index]));
  if (index + 1 != all_.size()) {
    all_[index] = std::move(all_.back());
    all_[index]->index_ = index;
  }
  all_.pop_back();
}

}  // namespace domicile::http
