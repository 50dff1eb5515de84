// domicile serve: one region's node in the foreground, until SIGTERM or SIGINT.
#include <fmt/format.h>
#include <signal.h>

#include "app/cli.h"
#include "app/node.h"
#include "base/log.h"

namespace domicile::app {
namespace {

constexpr std::chrono::seconds kDrain{20};

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
  log_info("node", "stopping: finishing what is under way");
  node->stop(kDrain);
  return 0;
}

}  // namespace

void add_serve(CLI::App& root, Cli& cli) {
  auto* verb =
      root.add_subcommand("serve", "Run one region's node: door, issuer, keeper, event log");
  auto file = std::make_shared<std::string>();
  auto check_only = std::make_shared<bool>(false);
  verb->add_option("--config", *file, "The node's TOML file (docs/getting-started.md)")->required();
  verb->add_flag("--check", *check_only, "Validate the file and reach what it names, then exit");
  verb->footer("SIGTERM and SIGINT drain and stop; SIGHUP reads certificate and routes again.");
  verb->callback(cli.run([file, check_only] { return serve(*file, *check_only); }));
}

}  // namespace domicile::app
