// domicile up, down, status: local regions on this machine, from one file.
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include <sys/pidfd.h>  // glibc before 2.37 forgot to say so itself
}

#include "app/cli.h"
#include "app/local_postgres.h"
#include "app/local_up.h"
#include "runtime/fd.h"

namespace domicile::app {
namespace {

using nlohmann::json;

struct Options {
  std::string config = "regions.toml";
  std::string data;
  bool detach = false;
  std::filesystem::path folder() const {
    return data.empty() ? default_data_folder()
                        : std::filesystem::absolute(data).lexically_normal();
  }
};

json to_json(const LocalPaths& paths, const LocalState& state, std::optional<pid_t> supervisor) {
  json root = {{"data", paths.data.string()},
               {"running", supervisor.has_value()},
               {"supervisor_pid", supervisor ? json(*supervisor) : json()},
               {"application", state.application},
               {"catalog", (paths.data / "domicile.catalog.toml").string()},
               {"routes", (paths.data / "routes.toml").string()},
               {"checks", paths.checks().string()},
               {"ca_file", paths.ca_certificate().string()},
               {"regions", json::array()}};
  for (const RegionReport& each : report(paths, state)) {
    json region = {{"id", each.id},
                   {"master", each.master},
                   {"url", each.url},
                   {"ports", each.ports},
                   {"running", each.running},
                   {"node_config", (paths.node(each.id) / "node.toml").string()},
                   {"audit", (paths.node(each.id) / "audit").string()}};
    for (const char* name : {"superuser", "installer", "owner", "node", "checker", "registry"}) {
      const auto file = paths.region(each.id) / "secrets" / (std::string(name) + ".dsn");
      if (std::filesystem::exists(file)) region["dsn_files"][name] = file.string();
    }
    root["regions"].push_back(region);
  }
  return root;
}

std::string table(const LocalPaths& paths, const LocalState& state) {
  std::string text;
  for (const RegionReport& each : report(paths, state)) {
    const auto shown = [&](const char* kind, const char* port) {
      return fmt::format(
          "{} {}", each.running.at(kind) ? "running" : "stopped",
          each.ports.contains(port) ? fmt::format("(port {})", each.ports.at(port)) : "");
    };
    text += fmt::format(
        "{}{}\n  door         {}  {}\n  application  {}\n  PostgreSQL   {}\n"
        "  audit log    {}\n",
        each.id, each.master ? " (master)" : "", each.url,
        each.running.at("node") ? "running" : "stopped", shown("application", "application"),
        shown("postgresql", "postgresql"),
        each.ports.contains("log") ? fmt::format("http://127.0.0.1:{}", each.ports.at("log")) : "");
  }
  return text;
}

std::string how_to_explore(const LocalPaths& paths) {
  const bool usual = paths.data == default_data_folder();
  return fmt::format(
      "Certificates   curl --cacert {0} ...\n"
      "State, logs    {1} (log/, regions/)\n"
      "Look, stop     domicile status{2}; domicile down{2}",
      paths.ca_certificate().string(), paths.data.string(),
      usual ? "" : " --data " + paths.data.string());
}

Result<void> show(Cli& cli, const LocalPaths& paths, const LocalState& state,
                  std::optional<pid_t> supervisor) {
  if (cli.json) {
    print(to_json(paths, state, supervisor).dump(2));
    return {};
  }
  if (state.regions.empty()) {
    print(fmt::format("no regions in {}; `domicile up --config regions.toml` makes them",
                      paths.data.string()));
    return {};
  }
  print(table(paths, state) + how_to_explore(paths));
  return {};
}

Result<void> run_here(Cli& cli, const Options& options, const std::function<void()>& started) {
  Signals signals = TRY(Signals::create());
  Progress progress(cli.quiet);
  const UpOptions up{options.config, options.folder(), cli.quiet};
  return run_regions(up, signals, progress, [&](LocalContext& context) {
    if (const auto shown = show(cli, context.paths, context.state, ::getpid()); !shown) return;
    std::fflush(stdout);
    started();
    if (options.detach) progress.leave_terminal();
  });
}

// The background process tells the waiting one through a pipe that the regions answer; when the
// pipe closes without a word, its exit code is the answer.
Result<int> run_detached(Cli& cli, const Options& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Code::internal, "cannot open a pipe");
  const pid_t child = ::fork();
  if (child < 0) return fail(Code::unavailable, "cannot start a background process");
  if (child > 0) {
    ::close(ends[1]);
    char word = 0;
    if (::read(ends[0], &word, 1) == 1) return 0;
    int status = 0;
    ::waitpid(child, &status, 0);
    cli.exit_code = exit_code_of_status(status);
    ::_exit(cli.exit_code);  // the child has printed why
  }
  ::close(ends[0]);
  TRY(run_here(cli, options, [&] {
    ::setsid();  // until now a Ctrl-C at the terminal stopped the set-up
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(nothing, fd);
    [[maybe_unused]] const ssize_t n = ::write(ends[1], "+", 1);
    ::close(ends[1]);
  }));
  return 0;
}

// A pidfd: the process that is told to stop is the one that is waited for, whoever gets its number.
Result<void> stop_process(pid_t pid, const LocalPaths& paths) {
  Signals signals = TRY(Signals::create());
  const runtime::Fd process{::pidfd_open(pid, 0)};
  if (process.get() < 0) return {};  // ended by itself
  if (::pidfd_send_signal(process.get(), SIGTERM, nullptr, 0) != 0 && errno != ESRCH) {
    return fail(Code::denied,
                fmt::format("process {} runs the regions and belongs to somebody else", pid));
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  for (pollfd ended{process.get(), POLLIN, 0}; ::poll(&ended, 1, 0) != 1;) {
    TRY(signals.check());
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(Code::timeout,
                  fmt::format("process {} has not stopped after 120 s; its log is {}", pid,
                              paths.log("up").string()));
    }
    signals.wait(std::chrono::milliseconds(50));
  }
  return {};
}

Result<int> stop(const Options& options) {
  const LocalPaths paths{options.folder()};
  const auto holder = DataLock::holder(paths);
  if (!holder) {
    print(fmt::format("no regions run from {}", paths.data.string()));
    return 0;
  }
  TRY(stop_process(*holder, paths));
  print(fmt::format("stopped the regions of {}", paths.data.string()));
  return 0;
}

}  // namespace

void add_up(CLI::App& root, Cli& cli) {
  auto options = std::make_shared<Options>();
  const auto with_data = [&](CLI::App* verb) {
    verb->add_option("--data", options->data, "Folder of all their files")
        ->default_str(default_data_folder().string());
  };

  CLI::App* up = root.add_subcommand("up", "Start local regions from one file");
  up->add_option("--config", options->config, "The regions' file")->capture_default_str();
  with_data(up);
  up->add_flag("--detach", options->detach,
               "Return once they answer; they run on in the background");
  up->callback(cli.run([&cli, options]() -> Result<int> {
    if (options->detach) return run_detached(cli, *options);
    TRY(run_here(cli, *options, [] {}));
    return 0;
  }));

  CLI::App* down = root.add_subcommand("down", "Stop local regions; their data stays");
  with_data(down);
  down->callback(cli.run([options] { return stop(*options); }));

  CLI::App* status = root.add_subcommand("status", "Show local regions: addresses, and what runs");
  with_data(status);
  status->callback(cli.run([&cli, options]() -> Result<int> {
    const LocalPaths paths{options->folder()};
    const LocalState state = TRY(load_state(paths.data));
    TRY(show(cli, paths, state, DataLock::holder(paths)));
    return 0;
  }));
}

}  // namespace domicile::app
