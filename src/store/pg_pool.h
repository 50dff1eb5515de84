// A few blocking connections shared by worker threads. A connection that was idle for a while is asked
// whether it still lives before it is used, and one that broke takes all idle ones with it, so a restart of the
// database is met by the calls that were under way and by no others. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::store {

class PgPool {
 public:
  struct Options {
    std::string dsn;
    unsigned connections = 4;
    std::chrono::milliseconds wait{2000};  // for a free connection; then Code::unavailable
    std::vector<std::string> on_open;      // statements for a new connection
  };
  explicit PgPool(Options options);

  enum class Retry { never, once };
  // Runs `body` on a connection. Retry::once, for bodies that only read: when the connection turns out to be broken,
  // it runs again on a new one.
  Result<void> run(Retry retry, const std::function<Result<void>(pg::Connection&)>& body);

 private:
  using Steady = std::chrono::steady_clock;
  struct Idle {
    std::unique_ptr<pg::Connection> connection;
    Steady::time_point since;
  };
  Result<std::unique_ptr<pg::Connection>> take();
  Result<std::unique_ptr<pg::Connection>> open();              // in a place that take() reserved
  void give_back(std::unique_ptr<pg::Connection> connection);  // null: one less is open
  void drop_idle();

  Options options_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Idle> idle_;
  unsigned open_ = 0;
};

}  // namespace domicile::store
