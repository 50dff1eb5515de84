// The thread that publishes: once per interval, while something new is durable, it lets the
// integrator take it in and hands the checkpoint on.
//
// Thread-safe. Destruction publishes what is left.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "audit/log_integrator.h"
#include "base/clock.h"

namespace domicile::audit {

class LogPublisher {
 public:
  struct Options {
    const Clock* clock = nullptr;  // outlives it
    std::chrono::milliseconds interval{1'000};
    std::function<void(const std::string& note)> on_checkpoint;  // may be empty
  };
  struct State {
    std::uint64_t size = 0;   // published
    WallTime behind_since{};  // epoch: everything durable is published
    std::string error;        // of the last attempt
  };

  // `folder` is the integrator's.
  LogPublisher(std::shared_ptr<Folder> folder, LogIntegrator integrator, Options options);
  ~LogPublisher();

  // Everything up to `sequence` is durable in the write-ahead log.
  void durable(std::uint64_t sequence);
  // While held nothing is published: on a full disk the space that is left is not for tiles.
  void hold(bool held) { held_ = held; }
  Result<void> publish_witnessed(std::uint64_t size, const std::string& note);
  Result<void> sign_with(LogKeys keys);
  State state() const;

 private:
  void run();
  void publish();

  std::shared_ptr<Folder> folder_;
  const Options options_;
  std::mutex integrator_mutex_;
  LogIntegrator integrator_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::uint64_t durable_ = 0;
  State state_;
  bool stopping_ = false;
  std::atomic<bool> held_ = false;
  std::thread thread_;
};

}  // namespace domicile::audit
