// Threads for work that blocks: mounted handlers, password hashing, database calls. The queue has a
// stated length; a full one refuses, so that overload is an answer and not a delay.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace domicile::runtime {

class WorkerPool {
 public:
  using Task = std::move_only_function<void()>;

  WorkerPool(unsigned threads, std::size_t queue_max);
  ~WorkerPool();  // stops

  // False when the queue is full or the pool stops. Thread-safe. A task must not throw.
  bool submit(Task task);
  // Waits for running tasks; queued ones are dropped, unrun.
  void stop();

 private:
  void work();

  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace domicile::runtime
