// One thread's event loop over epoll. Everything that lives on a loop is touched by its thread
// alone: no locks, no atomics. Other threads reach it through its Mailbox, which may be posted to
// at any time, also after the loop is gone (the task is then dropped, unrun).
//
// One turn: wait, run posted tasks, deliver socket events, fire timers, deliver wake-ups, destroy
// what was given to destroy_later(). Objects that can die inside their own callbacks are given to
// destroy_later(), so that a callback always returns into a living object.
//
// io_uring can take epoll's place behind Connection and Loop; nothing above names epoll.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/fd.h"

struct epoll_event;

namespace domicile::runtime {

class Timer;

class Disposable {
 public:
  virtual ~Disposable() = default;
};

class Loop {
 public:
  using Task = std::move_only_function<void()>;

  class Watcher {
   public:
    virtual void on_events(std::uint32_t events) = 0;  // EPOLLIN | ...

   protected:
    ~Watcher() = default;
  };

  class Mailbox {
   public:
    explicit Mailbox(Fd wakeup) : wakeup_(std::move(wakeup)) {}
    // False when the loop is gone; the task is then dropped.
    bool post(Task task);

   private:
    friend class Loop;
    Fd wakeup_;
    std::mutex mutex_;
    std::vector<Task> tasks_;
    bool closed_ = false;
  };

  static Result<std::unique_ptr<Loop>> create(const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;

  // Serves until stop(); the calling thread is the loop's from then on.
  void run();
  // The only members for other threads:
  void stop();
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  // Edge-triggered, both directions, with half-close: the watcher remembers what it has not used
  // up.
  Result<void> watch(const Fd& fd, Watcher& watcher);
  // Level-triggered input, for listening sockets.
  Result<void> watch_input(const Fd& fd, Watcher& watcher);
  void unwatch(const Fd& fd, Watcher& watcher);

  // on_events(0) later in this turn, or in the next one; unwatch() forgets it.
  void wake(Watcher& watcher) { woken_.push_back(&watcher); }
  void destroy_later(std::unique_ptr<Disposable> object) { dead_.push_back(std::move(object)); }

  const Clock& clock() const { return clock_; }
  SteadyTime now() const { return now_; }  // of this turn
  // Shared by all connections of the loop; holds until the next read by anybody.
  std::span<char> scratch() { return scratch_; }

 private:
  friend class Timer;
  Loop(const Clock& clock, Fd epoll, std::shared_ptr<Mailbox> mailbox);
  Result<void> add(const Fd& fd, Watcher& watcher, std::uint32_t events);
  int wait_ms() const;
  void deliver(int count);
  void run_posted();
  void fire_timers();
  void deliver_wakes();

  const Clock& clock_;
  Fd epoll_;
  std::shared_ptr<Mailbox> mailbox_;
  bool stopping_ = false;
  SteadyTime now_;
  std::vector<char> scratch_;
  std::vector<Watcher*> woken_;
  std::vector<Watcher*> waking_;  // woken_ of this turn, while it is delivered
  std::vector<std::unique_ptr<Disposable>> dead_;
  std::unique_ptr<epoll_event[]> events_;
  int events_count_ = 0;
  std::vector<Timer*> timers_;  // binary heap by Timer::queued_
};

}  // namespace domicile::runtime
