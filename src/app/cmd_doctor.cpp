// domicile doctor: what is wrong with this node, in the order in which to put it right.
#include <memory>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/doctor_checks.h"
#include "app/node_config.h"

namespace domicile::app {
namespace {

Result<int> examine(const Cli& cli, const std::string& file, const std::string& application) {
  const SystemClock clock;
  DoctorReport report;
  const auto config = load_node_config(file);
  if (!config) {
    report.fail(Check::configuration, config.error().message,
                "Correct it; the rest was not looked at.");
  } else {
    report.ok(Check::configuration, file + " is complete");
    examine_files(*config, file, report);
    examine_certificate(*config, clock.unix_seconds(), report);
    examine_event_log(*config, report);
    examine_database(*config, clock, report);
    examine_reference(*config, report);
    examine_network(*config, clock, report);
    if (!application.empty()) examine_application_pool(application, report);
  }
  print(cli.json ? report.json() : report.text());
  return report.exit_code();
}

}  // namespace

void add_doctor(CLI::App& root, Cli& cli) {
  auto file = std::make_shared<std::string>();
  auto application = std::make_shared<std::string>();
  auto* verb = root.add_subcommand(
      "doctor", "Examine a node, its databases and its configuration; say what to fix, in order");
  verb->add_option("--config", *file, "The node's TOML file")->required();
  verb->add_option("--app-dsn-file", *application,
                   "Also the application's pool: its connection string (mode 600)")
      ->type_name("FILE");
  verb->footer(
      "Changes nothing. Exits 0 when all is well, 1 with warnings, 2 when something fails.");
  verb->callback(cli.run([file, application, &cli] { return examine(cli, *file, *application); }));
}

}  // namespace domicile::app
