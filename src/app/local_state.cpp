#include "app/local_state.h"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

namespace domicile::app {
namespace {

using nlohmann::json;

std::filesystem::path state_file(const std::filesystem::path& data) { return data / "state.json"; }

RegionState region_from(const json& object) {
  RegionState region;
  region.ports = object.at("ports").get<std::map<std::string, std::uint16_t>>();
  region.done = object.at("done").get<std::map<std::string, std::string>>();
  return region;
}

std::optional<pid_t> pid_in(int fd) {
  char buffer[32] = {};
  const ssize_t n = ::pread(fd, buffer, sizeof buffer - 1, 0);
  pid_t pid = 0;
  if (n <= 0 || std::from_chars(buffer, buffer + n, pid).ec != std::errc{} || pid <= 1)
    return std::nullopt;
  return pid;
}

}  // namespace

Result<LocalState> load_state(const std::filesystem::path& data) {
  const auto text = read_file(state_file(data), 4u << 20);
  if (!text && text.error().code == Code::not_found) return LocalState{};
  if (!text) return std::unexpected(text.error());
  const auto broken = [&] {
    return fail(Code::invalid,
                fmt::format("{} is not a state file of domicile up; move the folder away, "
                            "or name another one with --data",
                            state_file(data).string()));
  };
  const json root = json::parse(*text, nullptr, false);
  if (!root.is_object()) return broken();
  try {
    if (root.at("format") != 1) return broken();
    LocalState state{root.at("application"), root.at("config_file"), {}};
    for (const auto& [id, region] : root.at("regions").items())
      state.regions[id] = region_from(region);
    return state;
  } catch (const json::exception&) {
    return broken();
  }
}

Result<void> save_state(const std::filesystem::path& data, const LocalState& state) {
  json root = {{"format", 1},
               {"application", state.application},
               {"config_file", state.config_file},
               {"regions", json::object()}};
  for (const auto& [id, region] : state.regions) {
    root["regions"][id] = {{"ports", region.ports}, {"done", region.done}};
  }
  return write_file_atomic(state_file(data),
                           root.dump(2, ' ', false, json::error_handler_t::replace) + "\n", 0644);
}

std::filesystem::path default_data_folder() {
  if (running_as_root()) return "/var/lib/domicile-up";
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && data[0] == '/') {
    return std::filesystem::path(data) / "domicile";
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr && home[0] == '/' ? home : "/tmp") /
         ".local/share/domicile";
}

Result<DataLock> DataLock::take(const LocalPaths& paths) {
  const int fd = ::open(paths.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return fail(Code::unavailable, fmt::format("cannot open {}: {}", paths.lock().string(),
                                               std::generic_category().message(errno)));
  }
  DataLock lock(fd);
  // A supervisor that was just killed holds its lock until the kernel has taken it apart.
  int attempts = 30;
  bool held = true;
  while ((held = ::flock(fd, LOCK_EX | LOCK_NB) != 0) && --attempts > 0) ::poll(nullptr, 0, 100);
  if (held) {
    return fail(Code::conflict,
                fmt::format("regions already run from {} (process {}); `domicile status` "
                            "shows them, `domicile down` stops them",
                            paths.data.string(), pid_in(fd).value_or(0)),
                "already_running");
  }
  TRY(lock.sign());
  return lock;
}

std::optional<pid_t> DataLock::holder(const LocalPaths& paths) {
  const int fd = ::open(paths.lock().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  DataLock probe(fd);
  if (::flock(fd, LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  return pid_in(fd);
}

Result<void> DataLock::sign() {
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0) {
    return fail(Code::unavailable,
                "cannot write the lock file: " + std::generic_category().message(errno));
  }
  return {};
}

DataLock::DataLock(DataLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
DataLock::~DataLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace domicile::app
