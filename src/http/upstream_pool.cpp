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

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, std::size_t address, Fd fd)
    : pool_(pool),
      address_(address),
      connection_(pool.loop_, std::move(fd), nullptr, true, *this),
      expiry_(pool.loop_, [this] { discard(); }) {}

void UpstreamConnection::release() {
  auto& mine = pool_.addresses_[address_];
  if (!connection_.open() || connection_.backlog() > 0 ||
      mine.idle.size() >= pool_.options_.idle_max) {
    discard();
    return;
  }
  user_ = nullptr;
  --mine.in_use;
  expiry_.set_after(pool_.options_.keep_ms);
  mine.idle.push_back(this);
}

void UpstreamConnection::discard() {
  if (std::exchange(user_, nullptr) != nullptr) --pool_.addresses_[address_].in_use;
  connection_.close();
  pool_.remove(*this);
}

void UpstreamConnection::connect_failed() { pool_.health_.failed(address_, pool_.loop_.now()); }

void UpstreamConnection::on_connected() {
  came_up_ = true;
  pool_.health_.succeeded(address_);
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
  if (!came_up_) connect_failed();
  if (user_ != nullptr) {
    user_->on_upstream_broken();
  } else {
    discard();
  }
}

UpstreamPool::UpstreamPool(runtime::Loop& loop, UpstreamHealth& health,
                           const UpstreamOptions& options, UpstreamCounters& counters)
    : loop_(loop),
      health_(health),
      options_(options),
      counters_(counters),
      addresses_(health.addresses().size()) {
  CHECK(!addresses_.empty() && addresses_.size() <= 64);
}

UpstreamPool::~UpstreamPool() = default;

// The least busy address that is not to be avoided and either has a kept connection or a circuit
// that lets another be tried.
std::size_t UpstreamPool::choose(Want want, std::uint64_t avoid) {
  const std::size_t count = addresses_.size();
  std::uint64_t out = avoid;
  while (true) {
    std::size_t best = kNone;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = (next_ + i) % count;
      if (out >> at & 1) continue;
      if (best == kNone || addresses_[at].in_use < addresses_[best].in_use) best = at;
    }
    if (best == kNone) return kNone;
    if (want == Want::any && !addresses_[best].idle.empty()) return best;
    if (health_.admit(best, loop_.now())) return best;
    out |= std::uint64_t{1} << best;
  }
}

UpstreamPool::Taken UpstreamPool::take(UpstreamConnection::User& user, Want want,
                                       std::uint64_t avoid) {
  const std::size_t at = choose(want, avoid);
  if (at == kNone) return {nullptr, Refused::circuits_open};
  PerAddress& address = addresses_[at];
  UpstreamConnection* connection = nullptr;
  if (want == Want::any && !address.idle.empty()) {
    connection = address.idle.back();
    address.idle.pop_back();
    connection->expiry_.cancel();
    counters_.reused.add();
  } else {
    if (all_.size() >= options_.connections_max) return {nullptr, Refused::too_many};
    auto fd = runtime::connect_tcp(health_.addresses()[at]);
    if (!fd) return {nullptr, Refused::system};
    all_.push_back(std::make_unique<UpstreamConnection>(*this, at, std::move(*fd)));
    connection = all_.back().get();
    connection->index_ = all_.size() - 1;
    counters_.opened.add();
  }
  next_ = at + 1 == addresses_.size() ? 0 : at + 1;
  ++address.in_use;
  connection->user_ = &user;
  ++connection->uses_;
  return {connection, Refused::no};
}

void UpstreamPool::remove(UpstreamConnection& connection) {
  const std::size_t index = connection.index_;
  if (index >= all_.size() || all_[index].get() != &connection) return;  // already removed
  std::erase(addresses_[connection.address_].idle, &connection);
  loop_.destroy_later(std::move(all_[index]));
  if (index + 1 != all_.size()) {
    all_[index] = std::move(all_.back());
    all_[index]->index_ = index;
  }
  all_.pop_back();
}

}  // namespace domicile::http
