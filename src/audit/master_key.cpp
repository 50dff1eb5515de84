#include "audit/master_key.h"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeyBytes = 32;

fs::path beside(const fs::path& file) { return file.string() + ".next"; }

Result<MasterKey> from_bytes(Secret bytes) {
  crypto::HmacSha256 hmac(bytes);
  const auto digest = hmac.mac("domicile master key id");
  KeyFile::MasterId id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  crypto::SealingKey key = TRY(crypto::SealingKey::create(bytes));
  return MasterKey{std::move(bytes), std::move(key), id};
}

Result<MasterKey> read(const fs::path& file) {
  const Secret text = TRY(read_secret_file(file));
  auto bytes = from_hex(text.reveal());
  if (!bytes || bytes->size() != kKeyBytes) {
    return fail(Code::invalid,
                fmt::format("{}: a master key is 64 hex digits; put back the file that belongs to "
                            "this log",
                            file.string()));
  }
  return from_bytes(Secret(std::move(*bytes)));
}

Result<void> write(const fs::path& file, const Secret& bytes) {
  return write_file_atomic(file, to_hex(bytes.reveal()) + "\n", 0600);
}

Result<void> flush(const fs::path& path, int flags, std::string_view bytes = {}) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return fail(Code::unavailable, fmt::format("cannot open {}", path.string()));
  const bool good = (bytes.empty() || ::write(fd, bytes.data(), bytes.size()) ==
                                          static_cast<ssize_t>(bytes.size())) &&
                    ::fsync(fd) == 0;
  ::close(fd);
  if (!good) return fail(Code::unavailable, fmt::format("cannot flush {}", path.string()));
  return {};
}

// The old key's digits, so that giving the file's blocks back does not leave them lying about.
Result<void> overwrite(const fs::path& file) {
  if (!fs::exists(file)) return {};
  return flush(file, O_WRONLY, std::string(2 * kKeyBytes, '0'));
}

}  // namespace

Result<MasterKey> MasterKey::make() { return from_bytes(crypto::random_secret(kKeyBytes)); }

Result<MasterKey> MasterKey::load_or_make(const fs::path& file, const fs::path& key_file) {
  const auto is_there = [](const fs::path& path) { return fs::exists(fs::symlink_status(path)); };
  if (!is_there(file) && !is_there(beside(file))) {
    if (is_there(key_file)) {
      return fail(Code::invalid,
                  fmt::format("{} is not there, and {} was made under it: put the master key back. "
                              "To give up every person that the log holds, remove {} instead",
                              file.string(), key_file.string(), key_file.string()));
    }
    MasterKey made = TRY(make());
    TRY(write(file, made.bytes));
    return made;
  }
  MasterKey key = TRY(load(file, key_file));
  if (!is_there(beside(file))) return key;
  // A replacement that was cut short: it happened if the file of keys is under the new key.
  const MasterKey next = TRY(read(beside(file)));
  if (next.id == key.id) {
    TRY(promote(file));
  } else {
    fs::remove(beside(file));
  }
  return key;
}

Result<MasterKey> MasterKey::load(const fs::path& file, const fs::path& key_file) {
  const auto wanted = KeyFile::master_of(key_file);
  if (!wanted && wanted.error().code != Code::not_found) return std::unexpected(wanted.error());
  if (fs::exists(beside(file)) && wanted) {
    MasterKey next = TRY(read(beside(file)));
    if (next.id == *wanted) return next;
  }
  return read(file);
}

Result<void> MasterKey::write_beside(const fs::path& file) const {
  return write(beside(file), bytes);
}

Result<void> MasterKey::promote(const fs::path& file) {
  TRY(overwrite(file));
  std::error_code error;
  fs::rename(beside(file), file, error);
  if (error) {
    return fail(Code::unavailable,
                fmt::format("cannot rename {}: {}", beside(file).string(), error.message()));
  }
  return flush(file.has_parent_path() ? file.parent_path() : ".", O_RDONLY | O_DIRECTORY);
}

}  // namespace domicile::audit
