#include "audit/log_publisher.h"

#include <algorithm>

#include "base/log.h"

namespace domicile::audit {

LogPublisher::LogPublisher(std::shared_ptr<Folder> folder, LogIntegrator integrator,
                           Options options)
    : folder_(std::move(folder)), options_(std::move(options)), integrator_(std::move(integrator)) {
  state_.size = integrator_.published();
  durable_ = state_.size;
  thread_ = std::thread([this] { run(); });
}

LogPublisher::~LogPublisher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogPublisher::durable(std::uint64_t sequence) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = durable_ <= state_.size && sequence > state_.size;
    if (first) state_.behind_since = options_.clock->now();
    durable_ = std::max(durable_, sequence);
  }
  if (first) wake_.notify_one();
}

LogPublisher::State LogPublisher::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Result<void> LogPublisher::publish_witnessed(std::uint64_t size, const std::string& note) {
  const std::lock_guard lock(integrator_mutex_);
  return integrator_.publish_witnessed(size, note);
}

Result<void> LogPublisher::sign_with(LogKeys keys) {
  std::string note;
  {
    const std::lock_guard lock(integrator_mutex_);
    note = TRY(integrator_.publish_again(std::move(keys)));
  }
  if (!note.empty() && options_.on_checkpoint) options_.on_checkpoint(note);
  return {};
}

void LogPublisher::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || durable_ > state_.size; });
    const bool last = stopping_;
    lock.unlock();
    publish();
    lock.lock();
    if (last) return;
    wake_.wait_for(lock, options_.interval, [this] { return stopping_; });
  }
}

void LogPublisher::publish() {
  std::unique_lock lock(mutex_);
  while (durable_ > state_.size && !held_) {
    const std::uint64_t durable = durable_;
    lock.unlock();
    Result<std::string> note;
    std::uint64_t size = 0;
    {
      const std::lock_guard integrating(integrator_mutex_);
      note = integrator_.advance(durable);
      size = integrator_.published();
    }
    if (note && !note->empty() && options_.on_checkpoint) options_.on_checkpoint(*note);
    lock.lock();
    if (!note) {
      if (state_.error.empty()) log_error("audit", "no checkpoint: " + note.error().message);
      state_.error = note.error().message;
      return;
    }
    state_.error.clear();
    state_.size = size;
    state_.behind_since = durable_ > state_.size ? options_.clock->now() : WallTime{};
  }
}

}  // namespace domicile::audit
