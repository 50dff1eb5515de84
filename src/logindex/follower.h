// The thread that keeps the index beside the log: takes what became durable, in batches, and records
// the questions that were asked of the index (sql/index: asked) as events of the log. An index that
// cannot be reached, or is not there, stops nothing else: it is told once per cause and tried again.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "logindex/index_store.h"

namespace domicile::logindex {

struct FollowerOptions {
  Secret dsn;  // of the index's owner
  std::string origin;
  Feed feed;
  Opener opener;
  std::chrono::days retention{0};  // 0: nothing is dropped
  std::size_t batch = 8'192;
  std::chrono::milliseconds poll_ms{500};
};

struct FollowerStats {
  std::uint64_t loaded = 0;     // events since start
  std::uint64_t questions = 0;  // recorded since start
  std::string last_error;       // empty: all is well
};

class Follower {
 public:
  // `events` and `clock` outlive it.
  Follower(FollowerOptions options, domain::EventSink& events, const Clock& clock);
  ~Follower();
  void start();
  FollowerStats stats() const;

 private:
  void run(const std::stop_token& stop);
  Result<void> work(const std::stop_token& stop);
  Result<void> record_questions(IndexStore& store);
  Result<void> drop_old(IndexStore& store);

  FollowerOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  FollowerStats stats_;
  std::chrono::sys_days dropped_on_{};
  std::jthread thread_;
};

}  // namespace domicile::logindex
