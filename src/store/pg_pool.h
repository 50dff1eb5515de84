// A few blocking connections shared by worker threads. A connection that broke is dropped and
// opened anew on the next use, so a restart of the database costs one failed call at most.
// Thread-safe.
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
  // Runs `body` on a connection. Retry::once, for bodies that only read: when the connection turns
  // out to be broken, it runs again on a new one.
  Result<void> run(Retry retry, const std::function<Result<void>(pg::Connection&)>& body);

 private:
  Result<std::unique_ptr<pg::Connection>> take();
  void give_back(std::unique_ptr<pg::Connection> connection);  // null: one less is open
  Options options_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<pg::Connection>> idle_;
  unsigned open_ = 0;
};

}  // namespace domicile::store
