#include "runtime/loop.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/check.h"
#include "runtime/timer.h"

namespace domicile::runtime {
namespace {
constexpr int kEventsMax = 256;
constexpr std::size_t kScratchBytes = 64 * 1024;
}  // namespace

bool Loop::Mailbox::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (first) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
  }
  return true;
}

Result<std::unique_ptr<Loop>> Loop::create(const Clock& clock) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  Fd wakeup(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll.valid() || !wakeup.valid()) {
    return fail(Code::unavailable, "epoll: " + std::generic_category().message(errno) +
                                       "; raise the limit of open files (ulimit -n)");
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wakeup.get(), &event) != 0) {
    return fail(Code::unavailable, "epoll_ctl: " + std::generic_category().message(errno));
  }
  return std::unique_ptr<Loop>(
      new Loop(clock, std::move(epoll), std::make_shared<Mailbox>(std::move(wakeup))));
}

Loop::Loop(const Clock& clock, Fd epoll, std::shared_ptr<Mailbox> mailbox)
    : clock_(clock),
      epoll_(std::move(epoll)),
      mailbox_(std::move(mailbox)),
      now_(clock.steady()),
      scratch_(kScratchBytes),
      events_(std::make_unique<epoll_event[]>(kEventsMax)) {}

Loop::~Loop() {
  std::vector<Task> dropped;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    mailbox_->closed_ = true;
    dropped.swap(mailbox_->tasks_);
  }
  dropped.clear();
  dead_.clear();
  CHECK(timers_.empty());
}

Result<void> Loop::add(const Fd& fd, Watcher& watcher, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
    return fail(Code::unavailable, "epoll_ctl: " + std::generic_category().message(errno));
  }
  return {};
}

Result<void> Loop::watch(const Fd& fd, Watcher& watcher) {
  return add(fd, watcher, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

Result<void> Loop::watch_input(const Fd& fd, Watcher& watcher) { return add(fd, watcher, EPOLLIN); }

void Loop::unwatch(const Fd& fd, Watcher& watcher) {
  if (fd.valid()) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  // Events of this very turn that are not delivered yet must not reach it.
  for (int i = 0; i < events_count_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i].events = 0;
  }
  std::erase(woken_, &watcher);
  std::ranges::replace(waking_, &watcher, nullptr);
}

void Loop::run() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events_.get(), kEventsMax, wait_ms());
    now_ = clock_.steady();
    CHECK(count >= 0 || errno == EINTR);
    if (count > 0) deliver(count);
    fire_timers();
    deliver_wakes();
    while (!dead_.empty()) {
      auto dead = std::move(dead_);
      dead_.clear();
    }
  }
}

void Loop::stop() {
  mailbox_->post([this] { stopping_ = true; });
}

int Loop::wait_ms() const {
  if (!woken_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto left = timers_.front()->queued_ - clock_.steady();
  if (left.count() <= 0) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 60'000));
}

void Loop::deliver(int count) {
  events_count_ = count;
  // Messages first: what was handed over before a request arrived counts for that request.
  for (int i = 0; i < count; ++i) {
    if (events_[i].data.ptr == nullptr) run_posted();
  }
  for (int i = 0; i < count; ++i) {
    if (events_[i].events == 0 || events_[i].data.ptr == nullptr) continue;
    static_cast<Watcher*>(events_[i].data.ptr)->on_events(events_[i].events);
  }
  events_count_ = 0;
}

void Loop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(mailbox_->wakeup_.get(), &count, sizeof count);
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    tasks.swap(mailbox_->tasks_);
  }
  for (Task& task : tasks) task();
}

void Loop::fire_timers() {
  while (!timers_.empty() && timers_.front()->queued_ <= now_) {
    Timer& timer = *timers_.front();
    timer.remove();
    if (!timer.armed()) continue;
    if (timer.deadline_ > now_) {
      timer.set(timer.deadline_);  // it was moved while it waited
      continue;
    }
    timer.cancel();
    timer.fire_();
  }
}

void Loop::deliver_wakes() {
  // Only those that are there now: who wakes itself again waits for the next turn.
  waking_.swap(woken_);
  for (std::size_t i = 0; i < waking_.size(); ++i) {
    if (waking_[i] != nullptr) waking_[i]->on_events(0);
  }
  waking_.clear();
}

}  // namespace domicile::runtime
