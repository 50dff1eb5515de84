// Programs that `domicile up` runs: as which user, with which files, and how they end. PostgreSQL
// refuses to run as root and the others have no business there, so a program started by root
// changes to its account in the child, before exec.
//
// A program gets a session of its own (a Ctrl-C at the terminal reaches only the supervisor), a
// clean environment, no inherited descriptor but its log, and a death signal: when the supervisor
// is killed outright, the kernel tells the program to stop. start() therefore belongs on the main
// thread.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "app/local_signals.h"
#include "base/result.h"

namespace domicile::app {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};
Result<Account> find_account(const std::string& name);
Result<Account> own_account();
bool running_as_root();

struct Program {
  std::vector<std::string> command;  // absolute path, then arguments; never a secret
  Account account;
  std::filesystem::path folder = "/";
  std::vector<std::pair<std::string, std::string>> environment;  // beside PATH, HOME, USER, LANG
  std::filesystem::path log;  // appended to; empty: see run_program()
  int stop_signal = SIGTERM;
};

// Code::unavailable when it cannot be executed, with the reason.
Result<pid_t> start_program(const Program& program);

struct Finished {
  int exit_code = 0;   // 128 + number when a signal ended it
  std::string output;  // standard output and error, the last 64 KiB
};
// Runs to the end, or ends it when a stop is requested or the time is over. `program.log` is not
// used.
Result<Finished> run_program(const Program& program, Signals& signals, std::chrono::seconds limit);
// The same, and an exit code other than 0 is an error that shows the last lines of the output.
Result<std::string> run_checked(const Program& program, Signals& signals,
                                std::chrono::seconds limit, const std::string& doing);

// A process's start time in clock ticks since boot: with the pid it names one process for good.
std::optional<unsigned long long> start_time(pid_t pid);
int exit_code_of_status(int wait_status);

// mkdir -p for one level, owned by `account`, with exactly this mode; also corrects an existing
// one.
Result<void> make_folder(const std::filesystem::path& path, const Account& account, unsigned mode);
// write_file_atomic(), then owned by `account`.
Result<void> write_owned(const std::filesystem::path& path, std::string_view content,
                         const Account& account, unsigned mode);

}  // namespace domicile::app
