#include "audit/key_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

namespace domicile::audit {
namespace {

constexpr std::string_view kMagic = "domicile-keys-1\n";
constexpr std::size_t kCheckAt = 4 + 4 + kKeyTagBytes + kWrappedKeyBytes;
constexpr std::size_t kSlotsAtOnce = 4096;

std::unexpected<Error> os_error(std::string_view doing, const std::filesystem::path& path) {
  const int saved = errno;
  const bool full = saved == ENOSPC || saved == EDQUOT || saved == EFBIG;
  return fail(
      full              ? Code::unavailable
      : saved == ENOENT ? Code::not_found
      : saved == EEXIST ? Code::conflict
                        : Code::internal,
      fmt::format("cannot {} {}: {}{}", doing, path.string(),
                  std::generic_category().message(saved), full ? "; free space on that disk" : ""));
}

template <typename Number>
void put(char* at, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    at[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

template <typename Number>
Number get(const char* at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
  }
  return static_cast<Number>(value);
}

std::uint64_t check_of(const char* slot, std::uint32_t number) {
  return XXH3_64bits_withSeed(slot, kCheckAt, number);
}

std::string encode_head(const KeyFile::MasterId& master) {
  std::string head(kKeySlotBytes, '\0');
  std::ranges::copy(kMagic, head.begin());
  std::ranges::copy(master, head.begin() + kMagic.size());
  put(head.data() + kCheckAt, check_of(head.data(), 0));
  return head;
}

Result<void> write_at(int fd, std::string_view bytes, std::uint64_t at,
                      const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("write to", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> flush(int fd, const std::filesystem::path& path) {
  if (::fdatasync(fd) != 0) return os_error("flush", path);
  return {};
}

// Fewer bytes than asked for only at the end of the file.
Result<std::string> read_at(int fd, std::size_t bytes, std::uint64_t at,
                            const std::filesystem::path& path) {
  std::string out(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    const ssize_t n = ::pread(fd, out.data() + have, bytes - have, static_cast<off_t>(at + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read", path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  out.resize(have);
  return out;
}

// Two writers would give one slot to two keys.
Result<void> lock(int fd, const std::filesystem::path& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  return fail(Code::conflict,
              fmt::format("{} is being written by another process: the log's node runs already",
                          path.string()),
              "audit_folder_in_use");
}

Result<void> flush_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return os_error("open folder", folder);
  const bool good = ::fsync(fd) == 0;
  ::close(fd);
  if (!good) return os_error("flush folder", folder);
  return {};
}

Result<KeyFile::MasterId> parse_head(std::string_view head, const std::filesystem::path& path) {
  if (head.size() != kKeySlotBytes || !head.starts_with(kMagic) ||
      get<std::uint64_t>(head.data() + kCheckAt) != check_of(head.data(), 0)) {
    return fail(Code::internal,
                fmt::format("{} is not a file of keys, or its head is damaged: put back the copy "
                            "that belongs to this log; without it sealed fields stay closed",
                            path.string()));
  }
  KeyFile::MasterId master{};
  std::ranges::copy(head.substr(kMagic.size(), master.size()), master.begin());
  return master;
}

}  // namespace

std::string encode_key_slot(const KeySlot& slot, std::uint32_t number) {
  std::string bytes(kKeySlotBytes, '\0');
  if (slot.kind == KeyKind::erased) return bytes;
  bytes[0] = static_cast<char>(slot.kind);
  put(bytes.data() + 4, slot.parent);
  std::ranges::copy(slot.tag, bytes.begin() + 8);
  std::ranges::copy(slot.wrapped, bytes.begin() + 8 + kKeyTagBytes);
  put(bytes.data() + kCheckAt, check_of(bytes.data(), number));
  return bytes;
}

std::optional<KeySlot> decode_key_slot(std::string_view bytes, std::uint32_t number) {
  if (bytes.size() != kKeySlotBytes) return std::nullopt;
  if (bytes.find_first_not_of('\0') == bytes.npos) return KeySlot{};
  const auto kind = static_cast<unsigned char>(bytes[0]);
  if (kind == 0 || kind > static_cast<unsigned char>(KeyKind::day)) return std::nullopt;
  if (get<std::uint64_t>(bytes.data() + kCheckAt) != check_of(bytes.data(), number)) {
    return std::nullopt;
  }
  KeySlot slot;
  slot.kind = static_cast<KeyKind>(kind);
  slot.parent = get<std::uint32_t>(bytes.data() + 4);
  std::ranges::copy(bytes.substr(8, kKeyTagBytes), slot.tag.begin());
  std::ranges::copy(bytes.substr(8 + kKeyTagBytes, kWrappedKeyBytes), slot.wrapped.begin());
  return slot;
}

KeyFile::KeyFile(int fd, std::filesystem::path path, MasterId master, std::uint32_t next)
    : fd_(fd), path_(std::move(path)), master_(master), next_(next) {}

KeyFile::~KeyFile() { ::close(fd_); }

Result<std::unique_ptr<KeyFile>> KeyFile::open(const std::filesystem::path& path, Access access,
                                               const MasterId& master) {
  const bool writing = access == Access::write;
  int fd = ::open(path.c_str(), (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT && writing) {
    // Its head is whole before it has its name.
    const auto fresh = path.string() + ".new";
    fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return os_error("create", fresh);
    std::unique_ptr<KeyFile> file(new KeyFile(fd, path, master, 1));
    TRY(lock(fd, path));
    TRY(write_at(fd, encode_head(master), 0, fresh));
    TRY(flush(fd, fresh));
    if (::rename(fresh.c_str(), path.c_str()) != 0) return os_error("rename", fresh);
    TRY(flush_folder(path.parent_path()));
    return file;
  }
  if (fd < 0) return os_error("open", path);
  struct stat info{};
  if (::fstat(fd, &info) != 0) {
    ::close(fd);
    return os_error("look at", path);
  }
  const auto whole = static_cast<std::uint64_t>(info.st_size) / kKeySlotBytes;
  std::unique_ptr<KeyFile> file(new KeyFile(fd, path, master, static_cast<std::uint32_t>(whole)));
  if (writing) TRY(lock(fd, path));
  const MasterId id = TRY(parse_head(TRY(read_at(fd, kKeySlotBytes, 0, path)), path));
  if (id != master) {
    return fail(Code::denied,
                fmt::format("{} was made under another master key: name the master key file that "
                            "belongs to this log",
                            path.string()));
  }
  return file;
}

Result<KeyFile::MasterId> KeyFile::master_of(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return os_error("open", path);
  const auto head = read_at(fd, kKeySlotBytes, 0, path);
  ::close(fd);
  if (!head) return std::unexpected(head.error());
  return parse_head(*head, path);
}

Result<std::optional<KeySlot>> KeyFile::read(std::uint32_t number) const {
  if (number == 0) return std::optional<KeySlot>();
  const std::string bytes =
      TRY(read_at(fd_, kKeySlotBytes, std::uint64_t{number} * kKeySlotBytes, path_));
  return decode_key_slot(bytes, number);
}

Result<void> KeyFile::append(std::span<const KeySlot> slots) {
  const std::uint32_t first = next();
  std::string bytes;
  bytes.reserve(slots.size() * kKeySlotBytes);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    bytes += encode_key_slot(slots[i], first + static_cast<std::uint32_t>(i));
  }
  TRY(write_at(fd_, bytes, std::uint64_t{first} * kKeySlotBytes, path_));
  TRY(flush(fd_, path_));
  next_.store(first + static_cast<std::uint32_t>(slots.size()), std::memory_order_release);
  return {};
}

Result<void> KeyFile::erase(std::span<const std::uint32_t> numbers) {
  const std::string zeros(kKeySlotBytes, '\0');
  for (const std::uint32_t number : numbers) {
    if (number == 0 || number >= next()) continue;
    TRY(write_at(fd_, zeros, std::uint64_t{number} * kKeySlotBytes, path_));
  }
  return flush(fd_, path_);
}

Result<void> KeyFile::visit(const Visit& visit) const {
  const std::uint32_t end = next();
  for (std::uint32_t at = 1; at < end;) {
    const std::size_t count = std::min<std::size_t>(kSlotsAtOnce, end - at);
    const std::string bytes =
        TRY(read_at(fd_, count * kKeySlotBytes, std::uint64_t{at} * kKeySlotBytes, path_));
    for (std::size_t i = 0; i < count; ++i, ++at) {
      const auto from = std::min(i * kKeySlotBytes, bytes.size());
      visit(at, decode_key_slot(std::string_view(bytes).substr(from, kKeySlotBytes), at));
    }
  }
  return {};
}

Result<std::unique_ptr<KeyFile>> KeyFile::rewrite(const MasterId& master,
                                                  const Change& change) const {
  const auto fresh = path_.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return os_error("create", fresh);
  const std::uint32_t end = next();
  std::unique_ptr<KeyFile> file(new KeyFile(fd, path_, master, end));
  TRY(lock(fd, path_));
  std::string bytes = encode_head(master);
  std::uint64_t written = 0;
  Result<void> outcome;
  const auto put_out = [&] {
    if (outcome) outcome = write_at(fd, bytes, written, fresh);
    written += bytes.size();
    bytes.clear();
  };
  TRY(visit([&](std::uint32_t number, const std::optional<KeySlot>& slot) {
    KeySlot changed = slot.value_or(KeySlot{});  // a damaged slot opens nothing: it goes
    if (outcome && changed.kind != KeyKind::erased) outcome = change(number, changed);
    bytes += encode_key_slot(changed, number);
    if (bytes.size() >= kSlotsAtOnce * kKeySlotBytes) put_out();
  }));
  put_out();
  TRY(std::move(outcome));
  TRY(flush(fd, fresh));
  if (::rename(fresh.c_str(), path_.c_str()) != 0) return os_error("rename", fresh);
  TRY(flush_folder(path_.parent_path()));
  const std::string zeros(kSlotsAtOnce * kKeySlotBytes, '\0');
  const std::uint64_t size = std::uint64_t{end} * kKeySlotBytes;
  for (std::uint64_t at = 0; at < size; at += zeros.size()) {
    TRY(write_at(
        fd_, std::string_view(zeros).substr(0, std::min<std::uint64_t>(zeros.size(), size - at)),
        at, path_));
  }
  TRY(flush(fd_, path_));
  return file;
}

bool KeyFile::current() const {
  struct stat mine{}, named{};
  return ::fstat(fd_, &mine) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

}  // namespace domicile::audit
