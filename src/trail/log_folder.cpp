#include "trail/log_folder.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/sha256.h"
#include "trail/position_line.h"

namespace domicile::trail {
namespace {

constexpr std::size_t kChunkBytes = 256u << 10;
constexpr std::size_t kHeadBytes = 256;
constexpr std::size_t kSessionsMax = 20'000;
constexpr std::size_t kFilesMax = 4'096;
constexpr std::string_view kFirstLine = "domicile trail 1\n";

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  std::string read(std::uint64_t offset, std::size_t bytes) const {
    std::string out(bytes, '\0');
    std::size_t have = 0;
    while (have < bytes) {
      const auto got =
          ::pread(fd_, out.data() + have, bytes - have, static_cast<off_t>(offset + have));
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    out.resize(have);
    return out;
  }

 private:
  int fd_;
};

std::optional<LogForm> form_of(std::string_view name) {
  if (name.ends_with(".json")) return LogForm::json;
  if (name.ends_with(".csv")) return LogForm::csv;
  return std::nullopt;
}

}  // namespace

struct LogFolder::Listed {
  std::string name;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;
};

std::string to_text(const FolderPosition& position) {
  std::string out(kFirstLine);
  for (const auto& [name, mark] : position.files) {
    out += fmt::format("{} {} {} {} {} {}\n", mark.inode, mark.offset, mark.head_bytes,
                       mark.head_sha256.empty() ? "-" : mark.head_sha256,
                       name == position.current ? 1 : 0, name);
  }
  return out;
}

std::optional<FolderPosition> parse_position(std::string_view text) {
  if (!text.starts_with(kFirstLine)) return std::nullopt;
  text.remove_prefix(kFirstLine.size());
  FolderPosition position;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == text.npos || position.files.size() == kFilesMax) return std::nullopt;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const auto inode = take_number(line), offset = take_number(line), head = take_number(line);
    const auto hash_end = line.find(' ');
    if (!inode || !offset || !head || hash_end == line.npos) return std::nullopt;
    const std::string hash(line.substr(0, hash_end));
    line.remove_prefix(hash_end + 1);
    const auto current = take_number(line);
    if (!current || *head > kHeadBytes || line.empty() || line.contains('/')) return std::nullopt;
    const std::string name(line);
    position.files[name] = {.inode = *inode,
                            .offset = *offset,
                            .head_bytes = *head,
                            .head_sha256 = hash == "-" ? "" : hash};
    if (*current == 1) position.current = name;
  }
  return position;
}

Result<std::vector<LogFolder::Listed>> LogFolder::list() const {
  std::vector<Listed> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    struct stat info{};
    if (!form_of(name) || name.contains('\n') || ::lstat(at->path().c_str(), &info) != 0 ||
        !S_ISREG(info.st_mode)) {
      continue;
    }
    out.push_back({.name = name,
                   .inode = info.st_ino,
                   .size = static_cast<std::uint64_t>(info.st_size),
                   .changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec});
  }
  // A server that writes both forms says everything twice.
  if (std::ranges::any_of(out, [](const Listed& file) { return file.name.ends_with(".json"); })) {
    std::erase_if(out, [](const Listed& file) { return file.name.ends_with(".csv"); });
  }
  if (error) {
    return fail(Code::unavailable, fmt::format("{}: {}; the node must be able to read the server's "
                                               "log folder",
                                               folder_.string(), error.message()));
  }
  std::ranges::sort(out, [](const Listed& a, const Listed& b) {
    return std::tie(a.changed_ns, a.name) < std::tie(b.changed_ns, b.name);
  });
  if (out.size() > kFilesMax) out.erase(out.begin(), out.end() - kFilesMax);
  return out;
}

void LogFolder::forget_missing(const std::vector<Listed>& files,
                               std::vector<FolderProblem>& problems) {
  std::erase_if(position_.files, [&](const auto& known) {
    const bool there = std::ranges::find(files, known.first, &Listed::name) != files.end();
    if (!there && known.first == position_.current) {
      problems.push_back({"removed", known.first, "the file that was being written is gone"});
      position_.current.clear();
    }
    return !there;
  });
}

// A session's lines are numbered from 1 by the server: whoever takes some out leaves a gap.
void LogFolder::note_line(const ServerRecord& record, const std::string& file,
                          std::vector<FolderProblem>& problems) {
  if (lines_.size() >= kSessionsMax) lines_.clear();
  const auto [at, fresh] = lines_.try_emplace(record.session, record.line);
  if (!fresh && record.line > at->second + 1) {
    problems.push_back({"gap", file,
                        fmt::format("session {} goes from line {} to {}", record.session,
                                    at->second, record.line)});
  }
  at->second = std::max(at->second, record.line);
}

Result<std::size_t> LogFolder::read_file(const Listed& file, std::size_t most, const Visit& visit,
                                         std::vector<FolderProblem>& problems) {
  const LogForm form = *form_of(file.name);
  const OpenFile open(folder_ / file.name);
  struct stat info{};
  if (!open.open() || ::fstat(open.fd(), &info) != 0) return 0;  // rotated away just now
  const auto size = static_cast<std::uint64_t>(info.st_size);
  FileMark& mark = position_.files[file.name];
  const bool same = mark.inode == info.st_ino && size >= mark.offset &&
                    crypto::sha256_hex(open.read(0, mark.head_bytes)) ==
                        (mark.head_bytes == 0 ? crypto::sha256_hex("") : mark.head_sha256);
  if (!same) {
    if (mark.offset > 0 && file.name == position_.current) {
      problems.push_back({"truncated", file.name, "the file that was being written begins anew"});
    }
    mark = {.inode = info.st_ino};
  }
  std::size_t records = 0;
  std::string buffer;
  while (records < most) {
    const std::string chunk = open.read(mark.offset + buffer.size(), kChunkBytes);
    if (chunk.empty()) break;
    buffer += chunk;
    std::size_t done = 0;
    while (const auto end = record_end(form, std::string_view(buffer).substr(done))) {
      const std::string_view text = std::string_view(buffer).substr(done, *end);
      done += *end;
      ++records;
      if (const auto record = parse_server_record(form, text)) {
        note_line(*record, file.name, problems);
        visit(*record);
      } else {
        problems.push_back(
            {"unreadable", file.name, fmt::format("at byte {}", mark.offset + done - *end)});
      }
    }
    if (done == 0 && buffer.size() > kServerRecordBytesMax) {  // its end comes as an unreadable one
      problems.push_back({"too_long", file.name, fmt::format("at byte {}", mark.offset)});
      done = buffer.size();
    }
    mark.offset += done;
    buffer.erase(0, done);
  }
  if (mark.head_bytes < kHeadBytes && mark.offset > mark.head_bytes) {
    mark.head_bytes = std::min<std::uint64_t>(mark.offset, kHeadBytes);
    mark.head_sha256 = crypto::sha256_hex(open.read(0, mark.head_bytes));
  }
  return records;
}

Result<std::size_t> LogFolder::read(std::size_t most, const Visit& visit,
                                    std::vector<FolderProblem>& problems) {
  const auto files = TRY(list());
  forget_missing(files, problems);
  std::size_t records = 0;
  for (const Listed& file : files) {
    const auto known = position_.files.find(file.name);
    const bool unread = known == position_.files.end() || known->second.inode != file.inode ||
                        known->second.offset != file.size;
    if (unread) records += TRY(read_file(file, most - std::min(most, records), visit, problems));
    if (records >= most) return records;
  }
  if (!files.empty()) position_.current = files.back().name;
  return records;
}

Result<void> LogFolder::skip_to_end() {
  for (const Listed& file : TRY(list())) {
    const OpenFile open(folder_ / file.name);
    if (!open.open()) continue;
    // To the end of the last whole line: what is being written now is read whole.
    std::uint64_t end = file.size;
    const std::uint64_t from = end > kServerRecordBytesMax ? end - kServerRecordBytesMax : 0;
    const std::string tail = open.read(from, end - from);
    const auto newline = tail.rfind('\n');
    end = newline == tail.npos ? from : from + newline + 1;
    const std::uint64_t head = std::min<std::uint64_t>(end, kHeadBytes);
    position_.files[file.name] = {.inode = file.inode,
                                  .offset = end,
                                  .head_bytes = head,
                                  .head_sha256 = crypto::sha256_hex(open.read(0, head))};
    position_.current = file.name;
  }
  return {};
}

}  // namespace domicile::trail
