// Keep-alive connections of one loop to one upstream. take() gives the connection that was used
// last, or a new one that is connecting (writes are queued until it is up). Nothing is shared
// between loops.
//
// An idle connection that the upstream closes, or that says something unasked, leaves the pool at
// once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "http/metrics.h"
#include "runtime/connection.h"
#include "runtime/socket.h"
#include "runtime/timer.h"

namespace domicile::http {

struct UpstreamOptions {
  std::chrono::milliseconds keep_ms{30'000};
  std::size_t idle_max = 128;
};

struct UpstreamCounters {
  explicit UpstreamCounters(Metrics& metrics);
  Counter& opened;
  Counter& reused;
};

class UpstreamPool;

class UpstreamConnection final : public runtime::Disposable, private runtime::Connection::Owner {
 public:
  // Whoever has taken the connection.
  class User {
   public:
    virtual void on_upstream_connected() {}
    virtual void on_upstream_readable() = 0;
    virtual void on_upstream_drained() = 0;
    virtual void on_upstream_broken() = 0;

   protected:
    ~User() = default;
  };

  UpstreamConnection(UpstreamPool& pool, runtime::Fd fd);

  runtime::Connection& io() { return connection_; }
  bool reused() const { return uses_ > 1; }
  // The exchange on it is complete and both sides keep the connection: back to the pool.
  void release();
  void discard();

 private:
  friend class UpstreamPool;
  void on_connected() override;
  void on_readable() override;
  void on_drained() override;
  void on_broken() override;

  UpstreamPool& pool_;
  runtime::Connection connection_;
  runtime::Timer expiry_;
  User* user_ = nullptr;  // null: idle in the pool
  std::size_t index_ = 0;
  std::uint64_t uses_ = 0;
};

class UpstreamPool {
 public:
  UpstreamPool(runtime::Loop& loop, std::vector<runtime::Address> addresses,
               const UpstreamOptions& options, UpstreamCounters& counters);
  ~UpstreamPool();

  enum class Want { any, fresh };
  // Null when the system refuses even to begin (out of ports or descriptors).
  UpstreamConnection* take(UpstreamConnection::User& user, Want want = Want::any);
  // A new connection failed to come up: the next one tries the next address.
  void skip_address() { ++address_; }
  std::size_t address_count() const { return addresses_.size(); }

 private:
  friend class UpstreamConnection;
  void remove(UpstreamConnection& connection);

  runtime::Loop& loop_;
  std::vector<runtime::Address> addresses_;
  const UpstreamOptions& options_;
  UpstreamCounters& counters_;
  std::size_t address_ = 0;
  std::vector<std::unique_ptr<UpstreamConnection>> all_;  // each knows its index
  std::vector<UpstreamConnection*> idle_;                 // used last: at the end
};

}  // namespace domicile::http
