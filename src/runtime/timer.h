// A deadline on a loop. Moving a deadline further away, which every byte of a busy connection does,
// only stores a number: the loop looks again when the former deadline passes. Belongs to its loop's
// thread; destroying it cancels it.
#pragma once

#include <chrono>
#include <functional>

#include "runtime/loop.h"

namespace domicile::runtime {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> fire) : loop_(loop), fire_(std::move(fire)) {}
  ~Timer();
  Timer(const Timer&) = delete;

  void set(SteadyTime deadline);
  void set_after(std::chrono::milliseconds delay) { set(loop_.now() + delay); }
  void cancel() { deadline_ = SteadyTime::max(); }
  bool armed() const { return deadline_ != SteadyTime::max(); }

 private:
  friend class Loop;
  static constexpr std::size_t kNotQueued = ~std::size_t{0};
  void place(std::size_t index);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);
  void remove();

  Loop& loop_;
  std::function<void()> fire_;
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime queued_{};  // the key in the heap; never later than deadline_
  std::size_t index_ = kNotQueued;
};

}  // namespace domicile::runtime
