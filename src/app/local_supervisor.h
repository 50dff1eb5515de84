// Keeps the long-running programs of local regions alive: starts them in order and waits until each
// one answers, restarts what ends by itself (0.2 s after the first end, doubling up to 10 s, anew
// after 30 quiet seconds), and stops them in the reverse order.
//
// Every program's pid and start time stand in run/<name>.pid, so that a supervisor that follows one
// that was killed ends the programs it left behind, and never a stranger that got the same pid.
// Main thread only.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "app/local_process.h"
#include "app/local_progress.h"
#include "app/local_signals.h"
#include "app/local_state.h"
#include "base/result.h"

namespace domicile::app {

struct Service {
  std::string name;    // "ca-central-1-node": also the name of its log
  std::string region;  // for progress lines
  std::string what;    // "node"
  Program program;
  std::function<void()> before;  // before every start; may be empty
  std::function<bool()> ready;   // asked until it says yes
  std::chrono::seconds ready_limit{60};
  std::chrono::seconds patience{20};  // after the stop signal
  int last_resort = SIGKILL;          // after that
};

class Supervisor {
 public:
  Supervisor(Signals& signals, LocalPaths paths, Progress& progress)
      : signals_(signals), paths_(std::move(paths)), progress_(progress) {}
  ~Supervisor() { stop_all(); }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Starts it and waits until it is ready. An error shows the end of its log.
  Result<void> start(Service service);
  // Until a stop is requested.
  void watch();
  void stop_all();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Running {
    Service service;
    pid_t pid = -1;  // -1: down, waiting for its turn
    Time started;
    Time again;  // when to start it anew
    std::chrono::milliseconds delay{200};
  };
  Result<void> launch(Running& running);
  Result<void> wait_ready(Running& running);
  bool reap(Running& running, std::string& how);
  void finish(Running& running);
  void tend(Running& running);

  Signals& signals_;
  LocalPaths paths_;
  Progress& progress_;
  std::vector<Running> services_;
};

// The process that a run file names, if it is still that process.
std::optional<pid_t> running_process(const std::filesystem::path& run_file);
// Ends it: `signal`, then SIGKILL after `patience`. The file is removed.
void end_left_over(const std::filesystem::path& run_file, int signal, Signals& signals,
                   std::chrono::seconds patience = std::chrono::seconds(20));
// The last lines of a log, for an error.
std::string log_tail(const std::filesystem::path& log);

}  // namespace domicile::app
