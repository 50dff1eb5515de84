#include "store/dump_folder.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/file.h"

namespace domicile::store {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

std::unexpected<Error> not_written(const fs::path& path, int error) {
  return fail(
      Code::unavailable,
      fmt::format("cannot write {}: {}; make room there or name another folder, and run the "
                  "same command again",
                  path.string(), reason(error)),
      "not_written");
}

Result<void> flush_folder(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = fd >= 0 && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!flushed) return not_written(path, error);
  return {};
}

}  // namespace

Result<DumpFolder> DumpFolder::create(const fs::path& path) {
  std::error_code error;
  const bool there = fs::exists(path, error);
  const bool empty = there && fs::is_empty(path, error);
  const fs::path mark = path / "unfinished";
  const bool left = there && fs::exists(mark, error);
  if (there && fs::exists(path / "manifest.json", error)) {
    return fail(Code::invalid, fmt::format("{} is not empty: it holds a whole dump; name a folder "
                                           "that is not there yet",
                                           path.string()));
  }
  if (there && !empty && !left) {
    return fail(Code::invalid,
                fmt::format("{} is not empty; name a folder that is not there yet", path.string()));
  }
  if (!there) {
    fs::create_directories(path, error);
    if (error) return not_written(path, error.value());
  }
  DumpFolder folder(path, !there);
  const int fd = open(mark.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return not_written(mark, errno);
  folder.lock_.reset(fdopen(fd, "w"));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    folder.lock_.reset();  // so that nothing of the other run's is taken away
    return fail(Code::conflict,
                fmt::format("another run of domicile dump writes into {}; wait for it, or name "
                            "another folder",
                            path.string()),
                "folder_locked");
  }
  folder.took_over_ = left;
  if (left) folder.clear();
  fs::permissions(path, fs::perms::owner_all, error);
  if (!error) fs::create_directory(path / "data", error);
  if (!error) fs::permissions(path / "data", fs::perms::owner_all, error);
  if (error) return not_written(path / "data", error.value());
  return folder;
}

// Our own files and no others.
void DumpFolder::clear() const {
  std::error_code ignored;
  for (const char* name : {"pre-data.sql", "pre-data.sql.tmp", "post-data.sql", "post-data.sql.tmp",
                           "manifest.json.tmp"})
    fs::remove(path_ / name, ignored);
  for (fs::directory_iterator at(path_ / "data", ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    if (at->path().extension() == ".copy") fs::remove(at->path(), ignored);
  }
  fs::remove(path_ / "data", ignored);
}

DumpFolder::~DumpFolder() {
  if (!lock_) return;
  std::error_code ignored;
  clear();
  fs::remove(path_ / "unfinished", ignored);
  if (made_) fs::remove(path_, ignored);  // if nothing else is in it
}

Result<void> DumpFolder::write(const std::string& name, std::string_view text) {
  auto done = write_file_atomic(path_ / name, text, 0600);
  if (!done) {
    done.error().code = Code::unavailable;
    done.error().reason = "not_written";
    done.error().message +=
        "; make room there or name another folder, and run the same command again";
  }
  return done;
}

Result<void> DumpFolder::finish(std::string_view manifest) {
  TRY(flush_folder(path_ / "data"));
  TRY(write("manifest.json", manifest));
  std::error_code ignored;
  fs::remove(path_ / "unfinished", ignored);
  lock_.reset();
  return {};
}

RowFile::RowFile(fs::path path, FILE* file)
    : path_(std::move(path)), file_(file), hash_(std::make_unique<crypto::Sha256>()) {}

Result<RowFile> RowFile::create(const fs::path& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return not_written(path, errno);
  return RowFile(path, fdopen(fd, "w"));
}

bool RowFile::write(std::string_view row) {
  hash_->update(row);
  if (failed_ == 0 && fwrite(row.data(), 1, row.size(), file_.get()) != row.size()) failed_ = errno;
  return failed_ == 0;
}

Result<std::string> RowFile::close() {
  if (failed_ == 0 && (fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0))
    failed_ = errno;
  file_.reset();
  if (failed_ != 0) return not_written(path_, failed_);
  return to_hex(crypto::view(hash_->finish()));
}

}  // namespace domicile::store
