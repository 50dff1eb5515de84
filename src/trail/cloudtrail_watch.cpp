#include "trail/cloudtrail_watch.h"

#include <charconv>
#include <condition_variable>
#include <mutex>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "trail/cloudtrail_events.h"
#include "trail/store_events.h"

namespace domicile::trail {
namespace {

constexpr std::size_t kFilesAtOnce = 100;
constexpr std::size_t kBatch = 1'000;
const std::string kUnreadable(64, '0');  // in the place of a hash: look again when it changes

void wait(const std::stop_token& stop, std::chrono::milliseconds at_most) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, at_most, [] { return false; });
}

Result<void> append_durable(const std::filesystem::path& path, std::string_view line) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  bool done = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  done = done && ::fdatasync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (done) return {};
  return fail(Code::unavailable, fmt::format("{} cannot be written", path.string()));
}

}  // namespace

CloudtrailWatch::CloudtrailWatch(CloudtrailWatchOptions options, domain::EventSink& events,
                                 const Clock& clock)
    : options_(std::move(options)), events_(events), clock_(clock) {}

CloudtrailWatch::~CloudtrailWatch() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void CloudtrailWatch::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

std::filesystem::path CloudtrailWatch::mark_file() const {
  return options_.state_file.string() + ".batch";
}

void CloudtrailWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Result<void> done;
    std::size_t files = 0;
    if (!folder_) done = restore();
    if (done) {
      if (auto looked = look(stop)) {
        files = *looked;
      } else {
        done = std::unexpected(std::move(looked).error());
      }
    }
    const std::string error = done ? "" : done.error().message;
    if (!error.empty() && error != said_) {
      log_warning("trail", fmt::format("CloudTrail's files wait: {}", error));
    }
    said_ = error;
    if (files < kFilesAtOnce) wait(stop, options_.poll_ms);
  }
}

Result<void> CloudtrailWatch::restore() {
  std::error_code error;
  CloudFileIndex index;
  if (std::filesystem::exists(options_.state_file, error)) {
    const std::string text = TRY(read_file(options_.state_file, std::size_t{1} << 30));
    auto parsed = parse_cloud_index(text);
    if (!parsed) {
      return std::unexpected(std::move(parsed).error().within(options_.state_file.string()));
    }
    index = std::move(*parsed);
    // A line that a crash cut off must not run into the next one.
    if (!text.empty() && text.back() != '\n') {
      std::filesystem::resize_file(options_.state_file, text.rfind('\n') + 1, error);
    }
  }
  if (std::filesystem::exists(mark_file(), error)) {
    const std::string text = TRY(read_file(mark_file(), 64));
    std::uint64_t before = 0;
    std::from_chars(text.data(), text.data() + text.size(), before);
    recorded_ = TRY(options_.recorded_after(before));
  }
  folder_.emplace(options_.folder, std::move(index));
  return {};
}

Result<std::size_t> CloudtrailWatch::look(const std::stop_token& stop) {
  const auto files = TRY(folder_->waiting(kFilesAtOnce));
  for (const CloudFile& file : files) {
    if (stop.stop_requested()) break;
    TRY(take(file));
  }
  return files.size();
}

Result<void> CloudtrailWatch::take(const CloudFile& file) {
  const auto whole = folder_->read(file, [](std::string_view) {});
  if (!whole) {
    if (whole.error().code != Code::invalid) return std::unexpected(whole.error());
    TRY(tell("unreadable", file.path, whole.error().message));
    CloudFile broken = file;
    broken.sha256 = kUnreadable;
    return finish(broken);
  }
  const CloudFile* before = folder_->find(file.path);
  if (before != nullptr && before->sha256 != kUnreadable) {
    if (before->sha256 != whole->sha256) {
      TRY(tell("changed", file.path, "the file was read, and holds something else now"));
    }
    return finish(*whole);
  }
  return record(*whole);
}

Result<void> CloudtrailWatch::record(const CloudFile& file) {
  if (recorded_.empty()) {
    TRY(write_file_atomic(mark_file(), std::to_string(options_.last_sequence()), 0600));
  }
  std::vector<domain::Event> events;
  std::uint64_t strange = 0;
  Result<void> stored;
  const auto flush = [&] {
    if (stored && !events.empty()) stored = store_events(events_, std::move(events), recorded_);
    events.clear();
  };
  TRY(folder_->read(file, [&](std::string_view text) {
    auto event = cloud_event(text, clock_.now());
    if (!event) {
      ++strange;
    } else if (!recorded_.contains(event->request_id)) {
      events.push_back(std::move(*event));
    }
    if (events.size() == kBatch) flush();
  }));
  flush();
  TRY(std::move(stored));
  if (strange > 0) {
    TRY(tell("unreadable", file.path, fmt::format("{} records are none of CloudTrail's", strange)));
  }
  TRY(finish(file));
  recorded_.clear();
  std::error_code error;
  std::filesystem::remove(mark_file(), error);
  return {};
}

Result<void> CloudtrailWatch::tell(const std::string& what, const std::string& file,
                                   const std::string& observed) {
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = domain::Outcome::allowed;
  event.time = clock_.now();
  event.operation = "trail." + what;
  event.resource = "cloudtrail";
  event.severity = what == "changed" ? "critical" : "high";
  event.details = {{"source", "cloudtrail"}, {"file", file}, {"observed", observed}};
  TRY(events_.record(std::move(event)));
  return {};
}

Result<void> CloudtrailWatch::finish(const CloudFile& file) {
  TRY(append_durable(options_.state_file, to_line(file)));
  folder_->done(file);
  return {};
}

}  // namespace domicile::trail
