#include "base/folder_watch.h"

#include <algorithm>
#include <array>
#include <climits>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace domicile {

FolderWatch::FolderWatch(const std::filesystem::path& folder)
    : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (fd_ >= 0) ::inotify_add_watch(fd_, folder.c_str(), IN_CREATE | IN_MOVED_TO | IN_MODIFY);
}

FolderWatch::~FolderWatch() {
  if (fd_ >= 0) ::close(fd_);
}

bool FolderWatch::changed_before(std::chrono::steady_clock::time_point end) const {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
  pollfd change{.fd = fd_, .events = POLLIN, .revents = 0};
  const auto wait = static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, INT_MAX));
  if (::poll(&change, 1, wait) <= 0 || (change.revents & POLLIN) == 0) return false;
  std::array<char, 4096> ignored{};
  (void)!::read(fd_, ignored.data(), ignored.size());
  return true;
}

}  // namespace domicile
