#include "audit/storage.h"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
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

Result<void> write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("write to", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Where files are written before they get their names; emptied by the next writer.
constexpr const char* kUnnamed = "tmp";

Result<Descriptor> write_new(const std::filesystem::path& name, std::string_view bytes) {
  Descriptor fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.ok()) return os_error("open", name);
  TRY(write_all(fd.get(), bytes, name));
  (void)::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // begins; fdatasync() waits
  return fd;
}

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

class DiskFile final : public AppendFile {
 public:
  DiskFile(Descriptor fd, std::filesystem::path path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<void> append(std::string_view bytes) override {
    return write_all(fd_.get(), bytes, path_);
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

  Result<std::string> read_part(const std::string& name, std::uint64_t offset,
                                std::size_t bytes_max) override;

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
  Result<void> put(std::span<const NamedBytes> files) override;
  Result<void> remove_folder(const std::string& name) override {
    TRY(may_write());
    std::error_code error;
    std::filesystem::remove_all(path_ / name, error);
    if (!error) return {};
    return fail(Code::internal,
                fmt::format("cannot remove {}: {}", (path_ / name).string(), error.message()));
  }

 private:
  Result<void> put_all(std::span<const NamedBytes> files);
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
  std::mutex put_mutex_;
};

Result<std::string> DiskFolder::read_part(const std::string& name, std::uint64_t offset,
                                          std::size_t bytes_max) {
  const auto path = path_ / name;
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return os_error("open", path);
  std::string bytes(bytes_max, '\0');
  std::size_t filled = 0;
  while (filled < bytes_max) {
    const ssize_t n = ::pread(fd.get(), bytes.data() + filled, bytes_max - filled,
                              static_cast<off_t>(offset + filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read", path);
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  bytes.resize(filled);
  return bytes;
}

// All contents first, so that the disk writes them together; only then is each waited for and given
// its name, and at the end each folder once.
Result<void> DiskFolder::put(std::span<const NamedBytes> files) {
  TRY(may_write());
  const std::lock_guard lock(put_mutex_);
  auto done = put_all(files);
  std::error_code ignored;
  if (!done) std::filesystem::remove_all(path_ / kUnnamed, ignored);  // a full disk needs the space
  return done;
}

Result<void> DiskFolder::put_all(std::span<const NamedBytes> files) {
  constexpr std::size_t kOpenAtOnce = 128;
  const auto unnamed = [this](std::size_t i) { return path_ / kUnnamed / std::to_string(i); };
  std::set<std::filesystem::path> folders{path_ / kUnnamed};
  TRY(make_folders(path_ / kUnnamed));
  for (; !files.empty(); files = files.subspan(std::min(kOpenAtOnce, files.size()))) {
    const auto part = files.first(std::min(kOpenAtOnce, files.size()));
    std::vector<Descriptor> written;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto folder = (path_ / part[i].name).parent_path();
      if (folders.insert(folder).second) TRY(make_folders(folder));
      written.push_back(TRY(write_new(unnamed(i), part[i].bytes)));
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (::fdatasync(written[i].get()) != 0) return os_error("flush", unnamed(i));
      const auto path = path_ / part[i].name;
      if (::rename(unnamed(i).c_str(), path.c_str()) != 0) return os_error("name", path);
    }
  }
  folders.erase(path_ / kUnnamed);
  for (const auto& folder : folders) {
    const Descriptor fd = TRY(folder_descriptor(folder));
    if (::fsync(fd.get()) != 0) return os_error("flush folder", folder);
  }
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
  std::error_code ignored;  // what an interrupted put() left: it never had a name
  std::filesystem::remove_all(path / kUnnamed, ignored);
  return std::make_unique<DiskFolder>(path, std::move(folder), std::move(lock));
}

Result<std::unique_ptr<Folder>> open_disk_folder_read_only(const std::filesystem::path& path) {
  Descriptor folder = TRY(folder_descriptor(path));
  return std::make_unique<DiskFolder>(path, std::move(folder), Descriptor(-1));
}

}  // namespace domicile::audit
