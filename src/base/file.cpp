#include "base/file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace domicile {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int close() {
    const int rc = ::close(fd_);
    fd_ = -1;
    return rc;
  }

 private:
  int fd_;
};

std::unexpected<Error> os_error(const std::filesystem::path& path, std::string_view doing) {
  const int saved = errno;
  const Code code = saved == ENOENT                      ? Code::not_found
                    : saved == EACCES || saved == EPERM  ? Code::denied
                    : saved == ENOSPC || saved == EDQUOT ? Code::unavailable
                                                         : Code::internal;
  return fail(code, fmt::format("cannot {} {}: {}", doing, path.string(),
                                std::generic_category().message(saved)));
}

Result<std::string> read_all(int fd, const std::filesystem::path& path, std::size_t limit_bytes) {
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(path, "read");
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > limit_bytes) {
      return fail(Code::invalid,
                  fmt::format("{} is larger than {} bytes", path.string(), limit_bytes));
    }
  }
}

Result<void> write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(path, "write");
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return os_error(path, "open");
  return read_all(fd.get(), path, limit_bytes);
}

Result<Secret> read_secret_file(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return os_error(path, "open");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return os_error(path, "inspect");
  if ((info.st_mode & 077) != 0) {
    return fail(Code::invalid,
                fmt::format("{0} holds a secret but others may read it; run: chmod 600 {0}",
                            path.string()));
  }
  std::string content = TRY(read_all(fd.get(), path, 1u << 20));
  if (content.ends_with('\n')) content.pop_back();
  return Secret(std::move(content));
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content,
                               unsigned mode) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  {
    Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd.ok()) return os_error(temporary, "create");
    TRY(write_all(fd.get(), content, temporary));
    if (::fchmod(fd.get(), mode) != 0) return os_error(temporary, "set the mode of");
    if (::fsync(fd.get()) != 0) return os_error(temporary, "flush");
    if (fd.close() != 0) return os_error(temporary, "close");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return os_error(path, "replace");
  Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok() || ::fsync(dir.get()) != 0) return os_error(folder, "flush folder");
  return {};
}

}  // namespace domicile
