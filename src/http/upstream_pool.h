// Keep-alive connections of one loop to one upstream of one or more addresses. take() chooses the
// address with the least under way on this loop among those whose circuit lets it, and gives the
// connection to it that was used last, or a new one that is connecting (writes are queued until it
// is up). Nothing but the circuits is shared between loops.
//
// An idle connection that the upstream closes, or that says something unasked, leaves the pool at
// once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "http/metrics.h"
#include "http/upstream_health.h"
#include "runtime/connection.h"
#include "runtime/socket.h"
#include "runtime/timer.h"

namespace domicile::http {

struct UpstreamOptions {
  std::chrono::milliseconds keep_ms{30'000};
  std::size_t idle_max = 128;          // for each address
  std::size_t connections_max = 8192;  // in use and idle together
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

  UpstreamConnection(UpstreamPool& pool, std::size_t address, runtime::Fd fd);

  runtime::Connection& io() { return connection_; }
  bool reused() const { return uses_ > 1; }
  std::size_t address() const { return address_; }
  // The exchange on it is complete and both sides keep the connection: back to the pool.
  void release();
  void discard();
  // Another goes on with it.
  void hand_over(User& user) { user_ = &user; }
  // It did not come up in time: counts against its address.
  void connect_failed();

 private:
  friend class UpstreamPool;
  void on_connected() override;
  void on_readable() override;
  void on_drained() override;
  void on_broken() override;

  UpstreamPool& pool_;
  const std::size_t address_;
  runtime::Connection connection_;
  runtime::Timer expiry_;
  User* user_ = nullptr;  // null: idle in the pool
  std::size_t index_ = 0;
  std::uint64_t uses_ = 0;
  bool came_up_ = false;
};

class UpstreamPool {
 public:
  UpstreamPool(runtime::Loop& loop, UpstreamHealth& health, const UpstreamOptions& options,
               UpstreamCounters& counters);
  ~UpstreamPool();

  enum class Want { any, fresh };
  enum class Refused { no, circuits_open, too_many, system };
  struct Taken {
    UpstreamConnection* connection = nullptr;
    Refused refused = Refused::no;  // system: out of ports or descriptors
  };
  // Addresses whose bit is set in `avoid` are left out.
  Taken take(UpstreamConnection::User& user, Want want = Want::any, std::uint64_t avoid = 0);
  std::size_t address_count() const { return addresses_.size(); }
  UpstreamHealth& health() { return health_; }

 private:
  friend class UpstreamConnection;
  struct PerAddress {
    std::vector<UpstreamConnection*> idle;  // used last: at the end
    std::size_t in_use = 0;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t choose(Want want, std::uint64_t avoid);
  void remove(UpstreamConnection& connection);

  runtime::Loop& loop_;
  UpstreamHealth& health_;
  const UpstreamOptions& options_;
  UpstreamCounters& counters_;
  std::size_t next_ = 0;  // where the search for the least busy begins
  std::vector<PerAddress> addresses_;
  std::vector<std::unique_ptr<UpstreamConnection>> all_;  // each knows its index
};

}  // namespace domicile::http
