#include "runtime/timer.h"

#include "base/check.h"

namespace domicile::runtime {

Timer::~Timer() {
  if (index_ != kNotQueued) remove();
}

void Timer::set(SteadyTime deadline) {
  deadline_ = deadline;
  if (index_ == kNotQueued) {
    queued_ = deadline;
    loop_.timers_.push_back(this);
    sift_up(loop_.timers_.size() - 1);
  } else if (deadline < queued_) {
    queued_ = deadline;
    sift_up(index_);
  }
}

void Timer::place(std::size_t index) {
  loop_.timers_[index] = this;
  index_ = index;
}

// Called on the timer that moves; others are shifted into its way.
void Timer::sift_up(std::size_t index) {
  auto& heap = loop_.timers_;
  while (index > 0 && queued_ < heap[(index - 1) / 2]->queued_) {
    heap[(index - 1) / 2]->place(index);
    index = (index - 1) / 2;
  }
  place(index);
}

void Timer::sift_down(std::size_t index) {
  auto& heap = loop_.timers_;
  while (true) {
    std::size_t child = 2 * index + 1;
    if (child >= heap.size()) break;
    if (child + 1 < heap.size() && heap[child + 1]->queued_ < heap[child]->queued_) ++child;
    if (queued_ <= heap[child]->queued_) break;
    heap[child]->place(index);
    index = child;
  }
  place(index);
}

void Timer::remove() {
  auto& heap = loop_.timers_;
  CHECK(index_ < heap.size() && heap[index_] == this);
  const std::size_t hole = index_;
  Timer* last = heap.back();
  heap.pop_back();
  index_ = kNotQueued;
  if (last == this) return;
  last->sift_up(hole);
  last->sift_down(last->index_);
}

}  // namespace domicile::runtime
