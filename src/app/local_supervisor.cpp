#include "app/local_supervisor.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <ranges>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

namespace domicile::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstDelay(200);
constexpr milliseconds kLongestDelay(10'000);
constexpr seconds kQuiet(30);
const std::string kBadInput =
    "exited with 2";  // our programs' code for it: trying again does not help

std::string describe_end(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with {}", WEXITSTATUS(status));
  return fmt::format("was ended by signal {} ({})", WTERMSIG(status),
                     ::strsignal(WTERMSIG(status)));
}

}  // namespace

std::string log_tail(const std::filesystem::path& log) {
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return "";
  constexpr std::streamoff kShown = 2000;
  const std::streamoff size = file.tellg();
  const std::streamoff from = std::max<std::streamoff>(0, size - kShown);
  file.seekg(from);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (from > 0) text.erase(0, text.find('\n') + 1);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<pid_t> running_process(const std::filesystem::path& run_file) {
  const auto text = read_file(run_file, 4096);
  long pid = 0;
  unsigned long long started = 0;
  if (!text || std::sscanf(text->c_str(), "%ld %llu", &pid, &started) != 2 || pid <= 1)
    return std::nullopt;
  if (start_time(static_cast<pid_t>(pid)) != started) return std::nullopt;
  return static_cast<pid_t>(pid);
}

void end_left_over(const std::filesystem::path& run_file, int signal, Signals& signals,
                   seconds patience) {
  if (const auto pid = running_process(run_file)) {
    ::kill(*pid, signal);
    const auto deadline = steady_clock::now() + patience;
    while (running_process(run_file) && steady_clock::now() < deadline)
      signals.wait(milliseconds(50));
    if (running_process(run_file)) ::kill(-*pid, SIGKILL);
    while (running_process(run_file) && steady_clock::now() < deadline + seconds(5)) {
      signals.wait(milliseconds(50));
    }
  }
  std::error_code ignored;
  std::filesystem::remove(run_file, ignored);
}

Result<void> Supervisor::launch(Running& running) {
  const Service& service = running.service;
  if (service.before) service.before();
  running.pid = TRY(start_program(service.program));
  running.started = steady_clock::now();
  const auto written =
      write_file_atomic(paths_.run(service.name),
                        fmt::format("{} {}\n", running.pid, start_time(running.pid).value_or(0)));
  if (written) return {};
  ::kill(running.pid, service.program.stop_signal);
  finish(running);
  return written;
}

// True when it has ended; `how` says how.
bool Supervisor::reap(Running& running, std::string& how) {
  int status = 0;
  if (running.pid < 0 || ::waitpid(running.pid, &status, WNOHANG) != running.pid) return false;
  how = describe_end(status);
  ::kill(-running.pid, SIGKILL);  // what is left of its process group
  running.pid = -1;
  std::error_code ignored;
  std::filesystem::remove(paths_.run(running.service.name), ignored);
  return true;
}

Result<void> Supervisor::wait_ready(Running& running) {
  const Service& service = running.service;
  const auto deadline = steady_clock::now() + service.ready_limit;
  int attempts = 1;
  for (;;) {
    TRY(signals_.check());
    std::string how;
    if (reap(running, how)) {
      // What a killed predecessor left (shared memory, a socket) goes away by itself: try again.
      if (how != kBadInput && attempts++ < 4) {
        const auto again = steady_clock::now() + milliseconds(500 * attempts);
        while (steady_clock::now() < again && !signals_.stop_requested())
          signals_.wait(milliseconds(100));
        TRY(launch(running));
        continue;
      }
      return fail(Code::unavailable,
                  fmt::format("{}: the {} {}. The end of {}:\n{}", service.region, service.what,
                              how, service.program.log.string(), log_tail(service.program.log)));
    }
    if (service.ready()) return {};
    if (steady_clock::now() > deadline) {
      return fail(Code::timeout,
                  fmt::format("{}: the {} does not answer after {} s. The end of {}:\n{}",
                              service.region, service.what, service.ready_limit.count(),
                              service.program.log.string(), log_tail(service.program.log)));
    }
    signals_.wait(milliseconds(50));
  }
}

Result<void> Supervisor::start(Service service) {
  end_left_over(paths_.run(service.name), service.program.stop_signal, signals_);
  TRY(signals_.check());
  Running& running = services_.emplace_back();
  running.service = std::move(service);
  TRY(launch(running));
  return wait_ready(running);
}

void Supervisor::tend(Running& running) {
  const auto now = steady_clock::now();
  std::string how;
  if (reap(running, how)) {
    if (now - running.started > kQuiet) running.delay = kFirstDelay;
    running.again = now + running.delay;
    progress_.step(running.service.region,
                   fmt::format("the {} {}; starting it again in {} ms", running.service.what, how,
                               running.delay.count()));
    running.delay = std::min(running.delay * 2, kLongestDelay);
  }
  if (running.pid >= 0 || now < running.again) return;
  if (const auto launched = launch(running); !launched) {
    running.again = now + running.delay;
    running.delay = std::min(running.delay * 2, kLongestDelay);
    progress_.step(running.service.region, launched.error().message);
  } else {
    progress_.step(running.service.region, fmt::format("the {} runs again", running.service.what));
  }
}

void Supervisor::watch() {
  while (!signals_.stop_requested()) {
    for (Running& running : services_) tend(running);
    bool waiting = std::ranges::any_of(services_, [](const Running& r) { return r.pid < 0; });
    signals_.wait(waiting ? milliseconds(100) : milliseconds(5000));
  }
}

// After the stop signal: waits, and does not wait for ever.
void Supervisor::finish(Running& running) {
  std::string how;
  const auto deadline = steady_clock::now() + running.service.patience;
  while (running.pid >= 0 && !reap(running, how)) {
    if (steady_clock::now() > deadline) {
      progress_.step(running.service.region,
                     fmt::format("the {} did not stop within {} s; ending it", running.service.what,
                                 running.service.patience.count()));
      ::kill(running.pid, running.service.last_resort);
      while (!reap(running, how)) signals_.wait(milliseconds(50));
      return;
    }
    signals_.wait(milliseconds(50));
  }
}

// In the reverse order of kinds: nodes first, databases last; those of a kind at the same time.
void Supervisor::stop_all() {
  while (!services_.empty()) {
    const std::string what = services_.back().service.what;
    for (Running& running : services_ | std::views::reverse) {
      if (running.service.what != what || running.pid < 0) continue;
      progress_.step(running.service.region, "stopping the " + what);
      ::kill(running.pid, running.service.program.stop_signal);
    }
    for (Running& running : services_) {
      if (running.service.what == what) finish(running);
    }
    std::erase_if(services_, [&](const Running& running) { return running.service.what == what; });
  }
}

}  // namespace domicile::app
