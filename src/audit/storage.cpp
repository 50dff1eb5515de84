#include "audit/storage.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace domicile::audit {
namespace {

constexpr std::size_t kSegmentReadLimit = 1u << 30;

std::unexpected<Error> os_error(std::string_view doing, const std::filesystem::path& path) {
  const int saved = errno;
  const bool full = saved == ENOSPC || saved == EDQUOT || saved == EFBIG;
  const Code code = full                                                  ? Code::unavailable
                    : saved == ENOENT                                     ? Code::not_found
                    : saved == EEXIST                                     ? Code::conflict
                    : saved == EACCES || saved == EPERM || saved == EROFS ? Code::denied
                                                                          : Code::internal;
  return fail(code, fmt::format("cannot {} {}: {}{}", doing, path.string(),
                                std::generic_category().message(saved),
                                full ? "; free space on that disk" : ""));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

class DiskFile final : public AppendFile {
 public:
  DiskFile(Descriptor fd, std::filesystem::path path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<void> append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("write to", path_);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }
  Result<void> flush() override {
    if (::fdatasync(fd_.get()) != 0) return os_error("flush", path_);
    return {};
  }
  Result<void> truncate(std::uint64_t bytes) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) return os_error("cut", path_);
    if (::fsync(fd_.get()) != 0) return os_error("flush", path_);
    return {};
  }

 private:
  Descriptor fd_;
  std::filesystem::path path_;
};

class DiskFolder final : public Folder {
 public:
  DiskFolder(std::filesystem::path path, Descriptor folder, Descriptor lock)
      : path_(std::move(path)), folder_(std::move(folder)), lock_(std::move(lock)) {}

  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator at(path_, error);
    for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
      names.push_back(at->path().filename().string());
    }
    if (error)
      return fail(Code::internal,
                  fmt::format("cannot list {}: {}", path_.string(), error.message()));
    std::ranges::sort(names);
    return names;
  }
  Result<std::string> read(const std::string& name) override {
    return read_file(path_ / name, kSegmentReadLimit);
  }

  Result<std::unique_ptr<AppendFile>> open(const std::string& name) override {
    return writable(name, 0);
  }
  Result<std::unique_ptr<AppendFile>> create(const std::string& name) override {
    auto file = TRY(writable(name, O_CREAT | O_EXCL));
    if (::fsync(folder_.get()) != 0) return os_error("flush folder", path_);
    return file;
  }
  Result<void> remove(const std::string& name) override {
    TRY(may_write());
    if (::unlink((path_ / name).c_str()) != 0) return os_error("remove", path_ / name);
    if (::fsync(folder_.get()) != 0) return os_error("flush folder", path_);
    return {};
  }

 private:
  Result<void> may_write() const {
    if (!lock_.ok())
      return fail(Code::denied, fmt::format("{} was opened for reading", path_.string()));
    return {};
  }
  Result<std::unique_ptr<AppendFile>> writable(const std::string& name, int flags) {
    TRY(may_write());
    const auto path = path_ / name;
    Descriptor fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
    if (!fd.ok()) return os_error("open", path);
    return std::make_unique<DiskFile>(std::move(fd), path);
  }

  std::filesystem::path path_;
  Descriptor folder_;
  Descriptor lock_;
};

Result<Descriptor> folder_descriptor(const std::filesystem::path& path) {
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok()) return os_error("open folder", path);
  return folder;
}

// Creates the missing part of `path`, and makes each new name durable in its parent.
Result<void> make_folders(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return fail(Code::invalid, fmt::format("{} is not a folder", path.string()));
  }
  const std::filesystem::path parent = path.parent_path();
  if (!parent.empty()) TRY(make_folders(parent));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error("create folder", path);
  const Descriptor above = TRY(folder_descriptor(parent.empty() ? "." : parent));
  if (::fsync(above.get()) != 0) return os_error("flush folder", parent);
  return {};
}

}  // namespace

Result<std::unique_ptr<Folder>> open_disk_folder(const std::filesystem::path& path) {
  if (path.empty()) return fail(Code::invalid, "the event folder has no name");
  const auto absolute = std::filesystem::absolute(path).lexically_normal();
  TRY(make_folders(absolute.has_filename() ? absolute : absolute.parent_path()));
  Descriptor folder = TRY(folder_descriptor(path));
  const auto lock_path = path / "lock";
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.ok()) return os_error("open", lock_path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return os_error("lock", lock_path);
    return fail(
        Code::conflict,
        fmt::format(
            "{} is being written by another process: give each writer a folder of its own, or stop "
            "the other one first",
            path.string()),
        "audit_folder_in_use");
  }
  return std::make_unique<DiskFolder>(path, std::move(folder), std::move(lock));
}

Result<std::unique_ptr<Folder>> open_disk_folder_read_only(const std::filesystem::path& path) {
  Descriptor folder = TRY(folder_descriptor(path));
  return std::make_unique<DiskFolder>(path, std::move(folder), Descriptor(-1));
}

}  // namespace domicile::audit
