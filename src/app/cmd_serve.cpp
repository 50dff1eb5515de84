// domicile serve: one region's node in the foreground, until SIGTERM or SIGINT.
#include <fmt/format.h>
#include <signal.h>

#include "app/cli.h"
#include "app/node.h"
#include "base/log.h"

namespace domicile::app {
namespace {

// Connections were cut at the end of the drain.
constexpr int kExitCut = 3;

// Whoever sends requests here has time to see that /readyz says no; SIGINT ends the wait, and from
// then on the process. SIGTERM stays blocked: supervisors repeat it.
void wait_for_notice(std::chrono::milliseconds notice) {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  const timespec limit{notice.count() / 1000, notice.count() % 1000 * 1'000'000};
  sigtimedwait(&interrupt, nullptr, &limit);
  pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
}

Result<int> serve(const std::string& file, bool check_only) {
  const NodeConfig config = TRY(load_node_config(file));
  // Blocked before any thread starts, so that all of them inherit it and sigwait() alone takes them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  static const SystemClock clock;
  auto node = TRY(Node::create(config, clock));
  if (check_only) {
    print(fmt::format("{}: complete; files, database and port are as they should be", file));
    return 0;
  }
  TRY(node->start());
  log_info("node",
           fmt::format("{} serves {}:{}", config.region.view(), config.listen.host, node->port()));
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    node->reload();
  }
  log_info("node", "stopping: finishing what is under way; SIGINT (again) ends it at once");
  node->announce_drain();
  wait_for_notice(config.drain_notice_ms);
  const std::size_t cut = node->drain();
  node->stop();
  if (cut == 0) {
    log_info("node", "stopped: everything under way was answered");
    return 0;
  }
  log_error("node", fmt::format("stopped: {} connections were cut after {} ms (http.drain_ms)", cut,
                                config.drain_ms.count()));
  return kExitCut;
}

}  // namespace

void add_serve(CLI::App& root, Cli& cli) {
  auto* verb =
      root.add_subcommand("serve", "Run one region's node: door, issuer, keeper, event log");
  auto file = std::make_shared<std::string>();
  auto check_only = std::make_shared<bool>(false);
  verb->add_option("--config", *file, "The node's TOML file (docs/getting-started.md)")->required();
  verb->add_flag("--check", *check_only, "Validate the file and reach what it names, then exit");
  verb->footer(
      "SIGTERM and SIGINT drain and stop: exit 0 when everything under way was answered, 3 when "
      "the\n"
      "deadline cut something. SIGHUP reads certificate, routes and the proxies' token again.");
  verb->callback(cli.run([file, check_only] { return serve(*file, *check_only); }));
}

}  // namespace domicile::app
