#include "store/pg_pool.h"

#include <utility>

#include <fmt/format.h>

namespace domicile::store {
namespace {

constexpr std::chrono::seconds kTrusted{1};  // idle for less: used without asking

}  // namespace

PgPool::PgPool(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<pg::Connection>> PgPool::take() {
  std::unique_ptr<pg::Connection> connection;
  bool ask = false;
  {
    std::unique_lock lock(mutex_);
    const bool free = freed_.wait_for(
        lock, options_.wait, [this] { return !idle_.empty() || open_ < options_.connections; });
    if (!free) {
      return fail(Code::unavailable,
                  fmt::format("all {} database connections are busy", options_.connections));
    }
    if (idle_.empty()) {
      ++open_;
    } else {
      connection = std::move(idle_.back().connection);
      ask = Steady::now() - idle_.back().since >= kTrusted;
      idle_.pop_back();
    }
  }
  if (connection == nullptr) return open();
  if (!ask || connection->query("SELECT 1")) return connection;
  drop_idle();
  return open();
}

Result<std::unique_ptr<pg::Connection>> PgPool::open() {
  auto opened = pg::Connection::open(options_.dsn);
  Result<void> ready{};
  if (!opened) ready = std::unexpected(std::move(opened).error());
  for (const auto& statement : options_.on_open) {
    if (ready) ready = opened->script(statement);
  }
  if (ready) return std::make_unique<pg::Connection>(std::move(*opened));
  give_back(nullptr);
  return std::unexpected(std::move(ready).error());
}

void PgPool::give_back(std::unique_ptr<pg::Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (connection == nullptr) {
    --open_;
  } else {
    idle_.push_back({std::move(connection), Steady::now()});
  }
  freed_.notify_one();
}

void PgPool::drop_idle() {
  std::vector<Idle> dropped;  // closed outside the lock
  const std::lock_guard lock(mutex_);
  dropped = std::exchange(idle_, {});
  open_ -= static_cast<unsigned>(dropped.size());
  freed_.notify_all();
}

Result<void> PgPool::run(Retry retry, const std::function<Result<void>(pg::Connection&)>& body) {
  for (int attempt = 0;; ++attempt) {
    auto connection = TRY(take());
    Result<void> done = body(*connection);
    const bool broken = !done && done.error().code == Code::unavailable;
    if (broken || connection->in_transaction()) connection.reset();
    give_back(std::move(connection));
    if (broken) drop_idle();
    if (broken && retry == Retry::once && attempt == 0) continue;
    return done;
  }
}

}  // namespace domicile::store
