// domicile check: active validation of every region, for people and for CI.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "app/cli.h"
#include "base/file.h"
#include "compliance/check_report.h"
#include "compliance/check_run.h"
#include "registry/snapshot_file.h"

namespace domicile::app {
namespace {

struct CheckArguments {
  std::string config_file;
  std::string junit_file;
  std::vector<std::string> exclude;
  bool list = false;
  // One region by flags instead of a file.
  std::string region;
  std::string dsn_file;
  std::string system_identifier;
  std::string database_id;
  std::string url;
  std::string event_directory;
  std::vector<std::string> roles;
};

Result<compliance::CheckConfig> config_of(const CheckArguments& arguments) {
  compliance::CheckConfig config;
  if (!arguments.config_file.empty()) {
    if (!arguments.region.empty() || !arguments.dsn_file.empty()) {
      return fail(
          Code::invalid,
          "name the regions in --config, or one region by --region and --dsn-file, not both");
    }
    config = TRY(compliance::load_check_config(arguments.config_file));
  } else {
    if (arguments.region.empty() || arguments.dsn_file.empty()) {
      return fail(Code::invalid,
                  "nothing to check: name --config checks.toml, or --region and --dsn-file");
    }
    compliance::CheckedRegion region;
    region.name = TRY(domain::parse_region_id(arguments.region));
    region.dsn_file = arguments.dsn_file;
    region.system_identifier = arguments.system_identifier;
    region.database_id = arguments.database_id;
    region.url = arguments.url;
    region.event_directory = arguments.event_directory;
    region.roles = arguments.roles;
    config.regions.push_back(std::move(region));
  }
  config.exclude.insert(config.exclude.end(), arguments.exclude.begin(), arguments.exclude.end());
  const auto problems = compliance::problems_of(config);
  if (!problems.empty()) return fail(Code::invalid, problems.front());
  return config;
}

int list_checks(const Cli& cli) {
  for (const auto& check : compliance::check_definitions()) {
    print(cli.json ? fmt::format(R"({{"check":"{}","title":"{}","severity":"{}"}})", check.id,
                                 check.title, check.severity)
                   : fmt::format("{}  {:<9} {}", check.id, check.severity, check.title));
  }
  return 0;
}

Result<int> check(const CheckArguments& arguments, const Cli& cli) {
  if (arguments.list) return list_checks(cli);
  const auto config = TRY(config_of(arguments));
  const SystemClock clock;
  compliance::CheckRunOptions options;
  options.clock = &clock;
  if (!config.registry_snapshot.empty()) {
    options.registry = TRY(registry::load_snapshot(config.registry_snapshot));
  }
  if (!cli.quiet) {
    options.progress = [](const std::string& text) { fmt::print(stderr, "{}\n", text); };
  }
  const auto report = TRY(compliance::run_checks(config, options));
  print(cli.json ? compliance::report_json(report) : compliance::report_text(report));
  if (!arguments.junit_file.empty())
    TRY(write_file_atomic(arguments.junit_file, compliance::report_junit(report)));
  const auto recorded = TRY(compliance::record_findings(report, config, clock));
  if (recorded > 0 && !cli.quiet) fmt::print(stderr, "{} findings recorded\n", recorded);
  return report.exit_code();
}

}  // namespace

void add_check(CLI::App& root, Cli& cli) {
  auto arguments = std::make_shared<CheckArguments>();
  auto* verb = root.add_subcommand(
      "check",
      "Validate every region: exit 0 all passed, 1 something failed, 3 no evidence for something");
  verb->add_option("--config", arguments->config_file,
                   "The regions and what to expect of them (checks.toml)");
  verb->add_option("--junit", arguments->junit_file, "Also write JUnit XML to this file");
  verb->add_option("--exclude", arguments->exclude,
                   "Leave out checks on purpose: an id or its beginning (DOM-RTE)");
  verb->add_flag("--list", arguments->list, "Print all checks and end");
  verb->add_option("--region", arguments->region, "One region without a file: its name");
  verb->add_option("--dsn-file", arguments->dsn_file, "... the file with its DSN (mode 0600)");
  verb->add_option("--system-identifier", arguments->system_identifier,
                   "... the server's system identifier");
  verb->add_option("--database-id", arguments->database_id,
                   "... the database id that region init printed");
  verb->add_option("--url", arguments->url, "... the door's address");
  verb->add_option("--event-directory", arguments->event_directory,
                   "... where findings are recorded");
  verb->add_option("--role", arguments->roles, "... roles that may have CREATEROLE");
  verb->callback(cli.run([=, &cli] { return check(*arguments, cli); }));
}

}  // namespace domicile::app
