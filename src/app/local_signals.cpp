#include "app/local_signals.h"

#include <csignal>
#include <utility>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace domicile::app {

Result<Signals> Signals::create() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
    return fail(Code::internal, "cannot block signals");
  }
  const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return fail(Code::internal, "cannot open a signal descriptor");
  return Signals(fd);
}

Signals::Signals(Signals&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), stop_requested_(other.stop_requested_) {}

Signals::~Signals() {
  if (fd_ >= 0) ::close(fd_);
}

void Signals::drain() {
  signalfd_siginfo info;
  while (::read(fd_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) stop_requested_ = true;
  }
}

bool Signals::wait(std::chrono::milliseconds at_most, int fd) {
  pollfd polled[2] = {{fd_, POLLIN, 0}, {fd, POLLIN, 0}};
  const int ready = ::poll(polled, fd >= 0 ? 2 : 1, static_cast<int>(at_most.count()));
  drain();
  return ready > 0 && fd >= 0 && polled[1].revents != 0;
}

Result<void> Signals::check() const {
  if (stop_requested_) {
    return fail(Code::unavailable, "interrupted; what is done is kept, and the next start goes on",
                "interrupted");
  }
  return {};
}

}  // namespace domicile::app
