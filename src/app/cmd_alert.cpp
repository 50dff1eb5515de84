// domicile alert list|test: what is wrong now, and whether anybody would hear of it.
#include "app/cmd_alert.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/alert_rehearsal.h"
#include "app/node_config.h"
#include "app/receivers_file.h"
#include "app/rule_files.h"
#include "app/text_table.h"
#include "base/file.h"
#include "base/log.h"
#include "compliance/alert_book.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct AlertArguments {
  std::string config;
  std::string rules;
  std::string receivers;
  std::string region = "test-region";
  std::vector<std::string> only;
  bool dry_run = false;
};

Result<int> list(const AlertArguments& arguments, const Cli& cli) {
  const auto config = TRY(load_node_config(arguments.config));
  const auto file = config.state_directory / "detections.json";
  std::vector<compliance::Alert> alerts;
  Json state = Json::object();
  if (std::error_code error; std::filesystem::exists(file, error)) {
    state = Json::parse(TRY(read_file(file)), nullptr, false);
    if (!state.is_object() || !state.contains("book")) {
      return fail(Code::internal,
                  fmt::format("{} is no state of a node's detections", file.string()));
    }
    compliance::AlertBook book({});
    TRY(book.load(state["book"].dump()));
    alerts = book.open();
  }
  if (cli.json) {
    Json out = Json::array();
    for (const auto& alert : alerts) out.push_back(Json::parse(compliance::to_json(alert)));
    print(Json({{"position", state.value("position", std::uint64_t{0})}, {"alerts", out}}).dump());
    return 0;
  }
  if (alerts.empty()) {
    print(fmt::format("no alert is open; the rules have looked at record {}",
                      state.value("position", std::uint64_t{0})));
    return 0;
  }
  std::vector<std::vector<std::string>> table = {
      {"LEVEL", "RULE", "ORGANIZATION", "SUBJECT", "DETECTIONS", "RECORDS"}};
  for (const auto& alert : alerts) {
    table.push_back({alert.level, alert.name, alert.organization, alert.subject,
                     std::to_string(alert.count),
                     fmt::format("{} to {}", alert.first_sequence, alert.last_sequence)});
  }
  std::string text = text_table(table, {4});
  text.pop_back();
  print(text);
  return 0;
}

// What the configuration says, unless the flags say otherwise.
Result<AlertTestOptions> test_options(const AlertArguments& arguments) {
  AlertTestOptions options;
  std::string rules = arguments.rules, receivers = arguments.receivers;
  options.region = arguments.region;
  if (!arguments.config.empty()) {
    const auto config = TRY(load_node_config(arguments.config));
    if (rules.empty()) rules = config.detections.rules_directory.string();
    if (receivers.empty()) receivers = config.alerts.receivers_file.string();
    options.region = config.region.text();
    options.url = config.issuer_url;
  }
  options.rules = TRY(load_rules(rules));
  options.only = arguments.only;
  if (!arguments.dry_run && !receivers.empty()) options.receivers = TRY(load_receivers(receivers));
  return options;
}

Result<int> test(const AlertArguments& arguments, const Cli& cli) {
  const auto options = TRY(test_options(arguments));
  set_log_level(LogLevel::error);  // the table says it
  const auto report = TRY(run_alert_test(options));
  bool all_fired = true, all_delivered = true;
  Json rows = Json::array();
  std::vector<std::vector<std::string>> table = {{"RULE", "LEVEL", "FIRED", "DELIVERED"}};
  for (const auto& rule : report.rules) {
    all_fired = all_fired && rule.fired;
    rows.push_back(
        {{"rule", rule.name}, {"level", rule.level}, {"fired", rule.fired}, {"why", rule.why}});
    table.push_back({rule.name, rule.level, rule.fired ? "yes" : "NO: " + rule.why,
                     options.receivers.empty() ? "-"
                     : rule.fired              ? "see below"
                                               : "no"});
  }
  Json receivers = Json::array();
  for (const auto& receiver : report.receivers) {
    const bool whole = receiver.waiting == 0 && receiver.dead == 0 && receiver.delivered > 0;
    all_delivered = all_delivered && (whole || receiver.wanted == 0);
    receivers.push_back({{"receiver", receiver.name},
                         {"delivered", receiver.delivered},
                         {"waiting", receiver.waiting},
                         {"error", receiver.error}});
  }
  if (cli.json) {
    print(Json({{"rules", rows}, {"receivers", receivers}}).dump());
    return all_fired && all_delivered ? 0 : 1;
  }
  std::string text = text_table(table);
  text.pop_back();
  print(text);
  for (const auto& receiver : report.receivers) {
    print(fmt::format("{}: {} messages delivered{}", receiver.name, receiver.delivered,
                      receiver.error.empty() ? "" : ", and then: " + receiver.error));
  }
  if (options.receivers.empty()) print("no receiver was told: none is configured, or --dry-run");
  return all_fired && all_delivered ? 0 : 1;
}

}  // namespace

void add_alert(CLI::App& root, Cli& cli) {
  auto arguments = std::make_shared<AlertArguments>();
  auto* noun = root.add_subcommand("alert", "What the detections have found, and who hears of it");
  noun->require_subcommand(1);
  auto* listing = noun->add_subcommand("list", "The alerts that are open now");
  listing->add_option("--config", arguments->config, "The node's configuration")->required();
  listing->callback(cli.run([=, &cli] { return list(*arguments, cli); }));

  auto* testing = noun->add_subcommand(
      "test", "Fire every rule through its real path: event, log, rule, alert, receiver");
  testing->add_option("--config", arguments->config,
                      "The node's configuration: its rules and receivers");
  testing->add_option("--rules", arguments->rules,
                      "A folder of more rules, instead of the configuration's");
  testing->add_option("--receivers", arguments->receivers,
                      "A file of receivers, instead of the configuration's");
  testing->add_option("--region", arguments->region,
                      "The region that the alerts name, without --config");
  testing->add_option("--rule", arguments->only, "Only this rule (name or id); may be repeated");
  testing->add_flag("--dry-run", arguments->dry_run, "Tell no receiver");
  testing->callback(cli.run([=, &cli] { return test(*arguments, cli); }));
}

}  // namespace domicile::app
