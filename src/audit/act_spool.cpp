#include "audit/act_spool.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder_watch.h"
#include "base/log.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kAct = ".act";
constexpr std::string_view kAnswer = ".answer";
constexpr std::array kCodes{Code::invalid,     Code::unauthenticated, Code::denied,
                            Code::not_found,   Code::conflict,        Code::wrong_region,
                            Code::unavailable, Code::timeout,         Code::internal};

fs::path spool_of(const fs::path& directory) { return directory / "spool"; }

std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return fmt::format("os:{}", found->pw_name);
  }
  return fmt::format("os:{}", uid);
}

std::string answer_text(const Result<std::string>& receipt) {
  if (receipt) return Json({{"receipt", Json::parse(*receipt, nullptr, false)}}).dump();
  const Error& error = receipt.error();
  return Json({{"error",
                {{"code", to_string(error.code)},
                 {"message", error.message},
                 {"reason", error.reason}}}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> parse_answer(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("receipt")) return json["receipt"].dump();
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object()) {
    return fail(Code::internal, "the node's answer cannot be read");
  }
  const Json& told = json["error"];
  Error error{Code::internal, told.value("message", ""), told.value("reason", "")};
  for (const Code code : kCodes) {
    if (to_string(code) == told.value("code", "")) error.code = code;
  }
  return std::unexpected(std::move(error));
}

struct Waiting {
  LogAct act;
  std::string by;
};

Result<Waiting> read_act(const fs::path& file) {
  struct stat info{};
  if (::lstat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(Code::invalid, fmt::format("{} is not a plain file", file.string()));
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(Code::denied, fmt::format("{} belongs to another user", file.string()));
  }
  return Waiting{TRY(parse_act(TRY(read_file(file, kActBytesMax)))), user_name(info.st_uid)};
}

}  // namespace

Result<std::string> leave_act(const fs::path& directory, const LogAct& act) {
  const fs::path spool = spool_of(directory);
  if (::mkdir(spool.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Code::unavailable,
                fmt::format("cannot make {}: {}; run this as the node's user", spool.string(),
                            std::generic_category().message(errno)));
  }
  // Of the log's owner, also where root asks: the node must be able to take the act up.
  struct stat log{};
  if (::geteuid() == 0 && ::stat(directory.c_str(), &log) == 0 &&
      ::lchown(spool.c_str(), log.st_uid, log.st_gid) != 0) {
    return fail(Code::unavailable,
                fmt::format("cannot give {} to the log's owner", spool.string()));
  }
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())
                       .time_since_epoch()
                       .count();
  const std::string id = fmt::format("{:015}-{}", now, crypto::random_text(9));
  TRY(write_file_atomic(spool / (id + std::string(kAct)), encode_act(act),
                        0644));  // in a folder of mode 0700
  return id;
}

Result<std::size_t> take_acts(const fs::path& directory, const PerformAct& perform) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(spool_of(directory), error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == kAct) files.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Code::unavailable,
                fmt::format("cannot list {}: {}", spool_of(directory).string(), error.message()));
  }
  std::ranges::sort(files);  // the oldest first
  for (const fs::path& file : files) {
    const auto waiting = read_act(file);
    const Result<std::string> receipt = waiting
                                            ? perform(waiting->act, waiting->by)
                                            : Result<std::string>(std::unexpected(waiting.error()));
    if (!receipt) {
      log_warning("audit",
                  fmt::format("an act on the log was refused: {}", receipt.error().message));
      // A disk that is full for the moment does not make an act undone.
      if (receipt.error().code == Code::unavailable) continue;
    }
    fs::path answer = file;
    answer.replace_extension(kAnswer);
    TRY(write_file_atomic(answer, answer_text(receipt), 0600));
    fs::remove_all(file, error);
  }
  return files.size();
}

Result<std::string> await_answer(const fs::path& directory, const std::string& id,
                                 std::chrono::milliseconds at_most) {
  const fs::path file = spool_of(directory) / (id + std::string(kAnswer));
  const FolderWatch watch(spool_of(directory));  // before the first look: nothing is missed
  const auto end = std::chrono::steady_clock::now() + at_most;
  do {
    if (const auto text = read_file(file, 1u << 20)) {
      std::error_code ignored;
      fs::remove(file, ignored);
      return parse_answer(*text);
    }
  } while (watch.changed_before(end));
  return fail(Code::timeout,
              fmt::format("the node that writes {} has not answered: the act waits in its spool "
                          "folder and is done when the node takes it up",
                          directory.string()));
}

ActSpool::ActSpool(fs::path directory, PerformAct perform, std::function<void()> also,
                   std::chrono::milliseconds interval)
    : directory_(std::move(directory)),
      perform_(std::move(perform)),
      also_(std::move(also)),
      interval_(interval),
      thread_([this] { run(); }) {}

ActSpool::~ActSpool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ActSpool::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    if (const auto taken = take_acts(directory_, perform_); !taken) {
      log_error("audit", taken.error().message);
    }
    if (also_) also_();
    lock.lock();
    wake_.wait_for(lock, interval_, [this] { return stopping_; });
  }
}

}  // namespace domicile::audit
