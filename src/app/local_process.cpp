#include "app/local_process.h"

#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

namespace domicile::app {
namespace {

std::string reason_of(int number) { return std::generic_category().message(number); }

Result<Account> account_of(const passwd* entry, const std::string& name) {
  if (entry == nullptr) {
    return fail(Code::invalid, fmt::format("there is no user {} on this machine", name));
  }
  Account account{entry->pw_name, entry->pw_uid, entry->pw_gid, {}};
  int count = 64;
  account.groups.resize(64);
  if (::getgrouplist(entry->pw_name, entry->pw_gid, account.groups.data(), &count) < 0) count = 1;
  account.groups.resize(static_cast<std::size_t>(count));
  account.groups[0] = count == 1 ? entry->pw_gid : account.groups[0];
  return account;
}

struct Pipe {
  int read = -1;
  int write = -1;
  ~Pipe() {
    close_end(read);
    close_end(write);
  }
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
};

std::vector<std::string> environment_of(const Program& program) {
  std::vector<std::string> all = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                                  "HOME=" + program.folder.string(),
                                  "USER=" + program.account.name};
  for (const auto& [name, value] : program.environment) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Everything the child needs, prepared before fork(): between fork and exec only system calls.
struct Launch {
  const Program& program;
  char* const* arguments;
  char* const* environment;
  pid_t parent;
  int output;
  int complaint;
  bool change_user;
};

[[noreturn]] void child(const Launch& launch) {
  const Account& account = launch.program.account;
  const auto complain = [&] [[noreturn]] {
    const int number = errno;
    [[maybe_unused]] const ssize_t n = ::write(launch.complaint, &number, sizeof number);
    ::_exit(127);
  };
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::setsid();
  ::umask(027);
  if (launch.change_user) {
    if (::setgroups(account.groups.size(), account.groups.data()) != 0) complain();
    if (::setresgid(account.gid, account.gid, account.gid) != 0) complain();
    if (::setresuid(account.uid, account.uid, account.uid) != 0) complain();
  }
  // After the change of user, which clears it. The parent may have died before this line.
  ::prctl(PR_SET_PDEATHSIG, launch.program.stop_signal);
  if (::getppid() != launch.parent) ::_exit(127);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, 0) < 0) complain();
  if (::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0) complain();
  if (::chdir(launch.program.folder.c_str()) != 0) complain();
  ::execve(launch.arguments[0], launch.arguments, launch.environment);
  complain();
}

Result<pid_t> launch(const Program& program, int output) {
  Pipe complaint;
  if (!complaint.open()) return fail(Code::internal, "cannot open a pipe: " + reason_of(errno));
  std::vector<std::string> arguments = program.command;
  std::vector<std::string> environment = environment_of(program);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  const Launch plan{program, argv.data(),     envp.data(),      ::getpid(),
                    output,  complaint.write, running_as_root()};
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Code::unavailable, "cannot start a process: " + reason_of(errno));
  if (pid == 0) child(plan);
  Pipe::close_end(complaint.write);
  int number = 0;
  ssize_t n = 0;
  do {
    n = ::read(complaint.read, &number, sizeof number);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof number) {
    ::waitpid(pid, nullptr, 0);
    return fail(Code::unavailable, fmt::format("cannot run {} as user {}: {}", program.command[0],
                                               program.account.name, reason_of(number)));
  }
  return pid;
}

}  // namespace

bool running_as_root() { return ::geteuid() == 0; }

Result<Account> find_account(const std::string& name) {
  return account_of(::getpwnam(name.c_str()), name);
}

Result<Account> own_account() {
  return account_of(::getpwuid(::geteuid()), fmt::format("with the number {}", ::geteuid()));
}

Result<pid_t> start_program(const Program& program) {
  const int log = ::open(program.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log < 0) {
    return fail(Code::unavailable,
                fmt::format("cannot write {}: {}", program.log.string(), reason_of(errno)));
  }
  auto started = launch(program, log);
  ::close(log);
  return started;
}

Result<Finished> run_program(const Program& program, Signals& signals, std::chrono::seconds limit) {
  constexpr std::size_t kKept = 64 * 1024;
  Pipe output;
  if (!output.open()) return fail(Code::internal, "cannot open a pipe: " + reason_of(errno));
  const pid_t pid = TRY(launch(program, output.write));
  Pipe::close_end(output.write);
  ::fcntl(output.read, F_SETFL, O_NONBLOCK);
  Finished finished;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  bool killed = false;
  std::array<char, 8192> buffer;
  for (;;) {
    signals.wait(std::chrono::milliseconds(200), output.read);
    ssize_t n = 0;
    while ((n = ::read(output.read, buffer.data(), buffer.size())) > 0) {
      finished.output.append(buffer.data(), static_cast<std::size_t>(n));
      if (finished.output.size() > 2 * kKept)
        finished.output.erase(0, finished.output.size() - kKept);
    }
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      while ((n = ::read(output.read, buffer.data(), buffer.size())) > 0) {
        finished.output.append(buffer.data(), static_cast<std::size_t>(n));
      }
      finished.exit_code = exit_code_of_status(status);
      break;
    }
    const bool late = std::chrono::steady_clock::now() > deadline;
    if (!killed && (signals.stop_requested() || late)) {
      ::kill(-pid, SIGKILL);
      killed = true;
    }
  }
  TRY(signals.check());
  if (killed) {
    return fail(Code::timeout,
                fmt::format("{} did not end within {} s", program.command[0], limit.count()));
  }
  return finished;
}

Result<std::string> run_checked(const Program& program, Signals& signals,
                                std::chrono::seconds limit, const std::string& doing) {
  Finished finished = TRY(run_program(program, signals, limit));
  if (finished.exit_code == 0) return std::move(finished.output);
  std::string tail = finished.output;
  while (tail.ends_with('\n')) tail.pop_back();
  if (tail.size() > 4000) tail.erase(0, tail.size() - 4000);
  const Code code = finished.exit_code == 2   ? Code::invalid
                    : finished.exit_code == 1 ? Code::conflict
                                              : Code::unavailable;
  return fail(code, fmt::format("{}: {} exited with {}:\n{}", doing, program.command[0],
                                finished.exit_code, tail));
}

int exit_code_of_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::optional<unsigned long long> start_time(pid_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  // Field 22, counted after the name, which stands in parentheses and may hold anything.
  std::size_t at = stat->rfind(')');
  if (at == std::string::npos || stat->substr(at + 2, 1) == "Z") return std::nullopt;
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
  if (at == std::string::npos) return std::nullopt;
  return std::strtoull(stat->c_str() + at + 1, nullptr, 10);
}

Result<void> make_folder(const std::filesystem::path& path, const Account& account, unsigned mode) {
  const auto broken = [&] {
    return fail(errno == ENOSPC ? Code::unavailable : Code::denied,
                fmt::format("cannot make the folder {}: {}", path.string(), reason_of(errno)));
  };
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return broken();
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return broken();
  if (!S_ISDIR(info.st_mode)) {  // a link here would hand somebody else's folder to `account`
    return fail(Code::denied,
                fmt::format("{} is in the way and not a folder; remove it", path.string()));
  }
  if (running_as_root() && ::lchown(path.c_str(), account.uid, account.gid) != 0) return broken();
  if (::chmod(path.c_str(), mode) != 0) return broken();
  return {};
}

Result<void> write_owned(const std::filesystem::path& path, std::string_view content,
                         const Account& account, unsigned mode) {
  TRY(write_file_atomic(path, content, mode));
  if (running_as_root() && ::lchown(path.c_str(), account.uid, account.gid) != 0) {
    return fail(Code::denied, fmt::format("cannot give {} to user {}: {}", path.string(),
                                          account.name, reason_of(errno)));
  }
  return {};
}

}  // namespace domicile::app
