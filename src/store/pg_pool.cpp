#include "store/pg_pool.h"

#include <fmt/format.h>

namespace domicile::store {

PgPool::PgPool(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<pg::Connection>> PgPool::take() {
  {
    std::unique_lock lock(mutex_);
    const bool free = freed_.wait_for(
        lock, options_.wait, [this] { return !idle_.empty() || open_ < options_.connections; });
    if (!free) {
      return fail(Code::unavailable,
                  fmt::format("all {} database connections are busy", options_.connections));
    }
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
    ++open_;
  }
  auto opened = pg::Connection::open(options_.dsn);
  if (opened) {
    auto connection = std::make_unique<pg::Connection>(std::move(*opened));
    Result<void> ready{};
    for (const auto& statement : options_.on_open) {
      if (ready) ready = connection->script(statement);
    }
    if (ready) return connection;
    give_back(nullptr);
    return std::unexpected(std::move(ready).error());
  }
  give_back(nullptr);
  return std::unexpected(std::move(opened).error());
}

void PgPool::give_back(std::unique_ptr<pg::Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (connection == nullptr) {
    --open_;
  } else {
    idle_.push_back(std::move(connection));
  }
  freed_.notify_one();
}

Result<void> PgPool::run(Retry retry, const std::function<Result<void>(pg::Connection&)>& body) {
  for (int attempt = 0;; ++attempt) {
    auto connection = TRY(take());
    Result<void> done = body(*connection);
    const bool broken = !done && done.error().code == Code::unavailable;
    if (broken || connection->in_transaction()) connection.reset();
    give_back(std::move(connection));
    if (broken && retry == Retry::once && attempt == 0) continue;
    return done;
  }
}

}  // namespace domicile::store
