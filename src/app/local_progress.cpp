#include "app/local_progress.h"

#include <cerrno>
#include <chrono>
#include <system_error>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

namespace domicile::app {
namespace {

void write_text(int fd, std::string_view text) {
  // A terminal or a log that has gone must not stop the regions.
  [[maybe_unused]] const ssize_t n = ::write(fd, text.data(), text.size());
}

}  // namespace

Progress::~Progress() {
  if (log_ >= 0) ::close(log_);
}

Result<void> Progress::log_to(const std::filesystem::path& file) {
  log_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log_ >= 0) return {};
  return fail(Code::unavailable, fmt::format("cannot write {}: {}", file.string(),
                                             std::generic_category().message(errno)));
}

void Progress::line(const std::string& text) {
  if (!quiet_) write_text(STDERR_FILENO, text + "\n");
  if (log_ >= 0) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    write_text(log_, fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}\n", now, text));
  }
}

void Progress::step(std::string_view region, std::string_view what) {
  line(fmt::format("  {:<14} {}", region, what));
}

void Progress::note(std::string_view what) { line(fmt::format("  {}", what)); }

}  // namespace domicile::app
