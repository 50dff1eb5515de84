#include "digest/spill.h"

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace domicile::digest {
namespace {

constexpr std::size_t kBuffer = sizeof(SpilledRow) * 16'384;

std::unexpected<Error> failed(std::string_view doing, const std::string& folder) {
  return fail(
      Code::unavailable,
      fmt::format("cannot {} a file of row hashes in {}: {}; a comparison needs 24 bytes of disk "
                  "for each row of the largest table",
                  doing, folder, std::generic_category().message(errno)),
      "compare_spill");
}

}  // namespace

Spill::Spill(int fd, std::string folder) : fd_(fd), folder_(std::move(folder)) {
  buffer_.reserve(kBuffer);
}

Spill::Spill(Spill&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      folder_(std::move(other.folder_)),
      buffer_(std::move(other.buffer_)),
      rows_(other.rows_) {}

Spill& Spill::operator=(Spill&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(folder_, other.folder_);
  std::swap(buffer_, other.buffer_);
  std::swap(rows_, other.rows_);
  return *this;
}

Spill::~Spill() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Spill> Spill::create(const std::filesystem::path& folder) {
  std::string name = (folder / "compare-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return failed("make", folder.string());
  ::unlink(name.c_str());
  return Spill(fd, folder.string());
}

Result<void> Spill::add(const SpilledRow& row) {
  buffer_.append(reinterpret_cast<const char*>(&row), sizeof row);
  ++rows_;
  return buffer_.size() < kBuffer ? Result<void>() : flush();
}

Result<void> Spill::flush() {
  for (std::size_t done = 0; done < buffer_.size();) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", folder_);
    done += static_cast<std::size_t>(n);
  }
  buffer_.clear();
  return {};
}

Result<void> Spill::each(const std::function<void(const SpilledRow&)>& row) {
  TRY(flush());
  std::vector<SpilledRow> rows(kBuffer / sizeof(SpilledRow));
  const std::uint64_t end = rows_ * sizeof(SpilledRow);
  for (std::uint64_t at = 0; at < end;) {
    // Pieces of whole rows: a file gives less than was asked for only at its end.
    const std::size_t wanted = std::min<std::uint64_t>(kBuffer, end - at);
    const ssize_t n = ::pread(fd_, rows.data(), wanted, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n != static_cast<ssize_t>(wanted)) return failed("read", folder_);
    for (std::size_t i = 0; i < wanted / sizeof(SpilledRow); ++i) row(rows[i]);
    at += wanted;
  }
  return {};
}

}  // namespace domicile::digest
