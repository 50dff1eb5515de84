// For tests: a sink that keeps events, and a witness that answers over HTTP.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "audit/log_fixture.h"
#include "audit/witness_service.h"
#include "http/mounts.h"
#include "http/server.h"

namespace domicile::audit {

class KeptEvents final : public domain::EventSink {
 public:
  void submit(domain::Event event, Completion done) override {
    std::uint64_t sequence = 0;
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      sequence = events_.size();
    }
    changed_.notify_all();
    done(sequence);
  }
  std::vector<domain::Event> all() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::size_t count(std::string_view operation) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        events_, [&](const auto& event) { return event.operation == operation; }));
  }
  // Waits until there is one; false: not within a long time.
  bool wait_for(std::string_view operation) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return std::ranges::any_of(events_, [&](const auto& e) { return e.operation == operation; });
    });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<domain::Event> events_;
};

inline domain::RegionId test_region() { return domain::parse_region_id("ca-central-1").value(); }

// A witness on a port of its own; it can be changed for another handler, or taken away.
class TestWitness {
 public:
  TestWitness(std::string name, std::vector<tlog::NoteKey> logs)
      : cosigner(tlog::Cosigner::create(std::move(name), LogFixture::new_key()).value()) {
    service = WitnessService::create({state.folder, std::move(logs), test_region()}, cosigner,
                                     events, clock)
                  .value();
    start(0);
  }
  ~TestWitness() { stop(); }

  void start(std::uint16_t on_port) {
    pool = std::make_unique<runtime::WorkerPool>(2, 16);
    mounts = std::make_unique<http::Mounts>(*pool, 1u << 20);
    mounts->add(std::string(kAddCheckpointPath), [this](const http::Request& request) {
      return handler ? handler(request) : service->handle(request);
    });
    server =
        http::Server::create({.port = on_port}, {}, clock, metrics, [this](http::ServerContext&) {
          return Result<std::unique_ptr<http::Service>>(
              std::make_unique<http::MountsService>(*mounts));
        }).value();
    server->start().value();
    port = server->port();
  }
  void stop() {
    server.reset();
    if (pool) pool->stop();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port) + "/v1/witness"; }
  std::string policy_line(const std::string& in_policy) const {
    return "witness " + in_policy + " " + cosigner.verifier_key() + " " + url() + "\n";
  }

  SystemClock clock;
  LogFixture state;  // its folder alone
  KeptEvents events;
  http::Metrics metrics;
  tlog::Cosigner cosigner;
  std::unique_ptr<WitnessService> service;
  std::function<http::Response(const http::Request&)> handler;
  std::unique_ptr<runtime::WorkerPool> pool;
  std::unique_ptr<http::Mounts> mounts;
  std::unique_ptr<http::Server> server;
  std::uint16_t port = 0;
};

}  // namespace domicile::audit
