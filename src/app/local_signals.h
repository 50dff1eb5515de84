// The signals that a local supervisor lives by, taken as events: SIGTERM, SIGINT and SIGHUP ask it
// to stop, SIGCHLD says that a child ended. They are blocked from construction on and read from a
// descriptor, so that no handler runs anywhere. One instance, on the main thread, made before any
// other thread.
#pragma once

#include <chrono>

#include "base/result.h"

namespace domicile::app {

class Signals {
 public:
  static Result<Signals> create();
  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

  // Waits until a signal, until `fd` (-1: none) is readable, or until `at_most` has passed.
  // Returns whether `fd` is readable.
  bool wait(std::chrono::milliseconds at_most, int fd = -1);
  bool stop_requested() const { return stop_requested_; }
  // An Error (Code::unavailable, "interrupted") once a stop was requested.
  Result<void> check() const;

 private:
  explicit Signals(int fd) : fd_(fd) {}
  void drain();
  int fd_ = -1;
  bool stop_requested_ = false;
};

}  // namespace domicile::app
