#include "app/cmd_audit_personal.h"

#include <chrono>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/audit_acts.h"
#include "app/audit_view.h"
#include "audit/log_holds.h"
#include "audit/log_reader.h"
#include "audit/log_retention.h"

namespace domicile::app {
namespace {

using Json = nlohmann::ordered_json;
using audit::ActKind;

struct ActArguments {
  std::string config;
  std::string until;
  std::string hold;
  bool master = false;
  bool log = false;
  bool retire = false;
  audit::LogAct act;
};

// Receipts are JSON either way: they are kept.
Result<int> perform(ActArguments arguments, ActKind kind, const Cli& cli) {
  arguments.act.kind = kind;
  const NodeConfig config = TRY(load_node_config(arguments.config));
  const std::string receipt = TRY(act_on_log(config, arguments.act));
  print(cli.json ? receipt : Json::parse(receipt).dump(2));
  return 0;
}

Result<int> add_hold(ActArguments arguments, const Cli& cli) {
  if (!arguments.until.empty()) arguments.act.until_ms = TRY(parse_event_time(arguments.until));
  return perform(std::move(arguments), ActKind::hold_add, cli);
}

Result<int> list_holds(const ActArguments& arguments, const Cli& cli) {
  const NodeConfig config = TRY(load_node_config(arguments.config));
  const auto holds = TRY(audit::LegalHolds::read(config.audit_log.key_directory / "holds.json"));
  if (cli.json) {
    print(Json::parse(holds.text()).dump());
    return 0;
  }
  for (const auto& hold : holds.all()) {
    print(fmt::format(
        "{}  {}{}  until {}  {}", hold.id,
        hold.organization.empty() ? "the whole log" : "organization " + hold.organization,
        hold.person.empty() ? "" : ", one person",
        hold.until_ms == 0 ? "it is removed" : event_time_text(hold.until_ms), hold.ticket));
  }
  if (holds.all().empty()) print("no legal holds");
  return 0;
}

Result<int> rotate(const ActArguments& arguments, const Cli& cli) {
  const int chosen =
      arguments.master + arguments.log + arguments.retire + !arguments.act.organization.empty();
  if (chosen != 1) {
    return fail(Code::invalid,
                "say which key: --master, --organization KEY, --log, or --retire-log once every "
                "reader knows the new one");
  }
  const ActKind kind = arguments.master   ? ActKind::rotate_master
                       : arguments.log    ? ActKind::rotate_log
                       : arguments.retire ? ActKind::retire_log
                                          : ActKind::rotate_organization;
  return perform(arguments, kind, cli);
}

Result<int> retention_status(const ActArguments& arguments, const Cli& cli) {
  const NodeConfig config = TRY(load_node_config(arguments.config));
  const unsigned days = config.audit_personal.retention_days;
  const SystemClock clock;
  const auto before = days == 0 ? WallTime() : clock.now() - std::chrono::days(days);
  const auto plan = TRY(audit::plan_trim(config.audit_directory, before));
  const auto holds = TRY(audit::LegalHolds::read(config.audit_log.key_directory / "holds.json"));
  const auto* hold = holds.against_trimming(clock.now());
  const std::uint64_t entries = plan.first_kept - plan.first_now;
  if (cli.json) {
    print(Json({{"retention_days", days},
                {"first_kept", plan.first_now},
                {"oldest_ms", plan.oldest_ms},
                {"expired", entries},
                {"expired_bytes", plan.bytes},
                {"held_by", hold == nullptr ? "" : hold->id}})
              .dump());
    return 0;
  }
  print(days == 0 ? "policy    everything is kept (audit.retention_days is not set)"
                  : fmt::format("policy    entries are kept for {} days", days));
  print(fmt::format("log       begins with record {}{}", plan.first_now,
                    plan.oldest_ms == 0 ? "" : " of " + event_time_text(plan.oldest_ms)));
  print(fmt::format("expired   {} entries, {} bytes", entries, plan.bytes));
  if (hold != nullptr) print(fmt::format("held by   {} ({})", hold->id, hold->ticket));
  return 0;
}

CLI::App* make_verb(CLI::App& parent, const char* name, const char* description,
                    ActArguments& arguments) {
  auto* verb = parent.add_subcommand(name, description);
  verb->add_option("--config", arguments.config, "The node's configuration file")->required();
  return verb;
}

void add_organization(CLI::App& verb, ActArguments& arguments, bool required) {
  verb.add_option("--organization", arguments.act.organization, "The organization's key")
      ->required(required);
}

void add_ticket(CLI::App& verb, ActArguments& arguments) {
  verb.add_option("--ticket", arguments.act.ticket, "Who asked for it, and where that is written")
      ->required();
}

void add_hold(CLI::App& noun, Cli& cli, const std::shared_ptr<ActArguments>& arguments) {
  auto* hold = noun.add_subcommand("hold", "Legal holds: what is not erased, by whose order");
  hold->require_subcommand(1);
  auto* adding =
      make_verb(*hold, "add", "Nothing of it is erased, and nothing trimmed", *arguments);
  add_organization(*adding, *arguments, false);
  adding->add_option("--person", arguments->act.person, "Only this person of the organization");
  adding->add_option("--until", arguments->until, "Ends then (2027-01-01); else when removed");
  add_ticket(*adding, *arguments);
  adding->callback(cli.run([=, &cli] { return add_hold(*arguments, cli); }));
  auto* removing = make_verb(*hold, "remove", "Lift one", *arguments);
  removing->add_option("id", arguments->act.hold, "Its id")->required();
  add_ticket(*removing, *arguments);
  removing->callback(cli.run([=, &cli] { return perform(*arguments, ActKind::hold_remove, cli); }));
  auto* listing = make_verb(*hold, "list", "Those there are", *arguments);
  listing->callback(cli.run([=, &cli] { return list_holds(*arguments, cli); }));
}

}  // namespace

void add_audit_personal(CLI::App& noun, Cli& cli) {
  auto arguments = std::make_shared<ActArguments>();
  auto* erasing = make_verb(noun, "erase",
                            "Destroy the keys of a person, or of an organization: what the log "
                            "says of them cannot be read again, and every proof stays valid",
                            *arguments);
  add_organization(*erasing, *arguments, true);
  erasing->add_option("--person", arguments->act.person, "Only this person of the organization");
  add_ticket(*erasing, *arguments);
  erasing->callback(cli.run([=, &cli] { return perform(*arguments, ActKind::erase, cli); }));

  add_hold(noun, cli, arguments);

  auto* key = noun.add_subcommand("key", "The keys of the log and of its sealed persons");
  key->require_subcommand(1);
  auto* rotating =
      make_verb(*key, "rotate", "Replace a key; what is there stays readable", *arguments);
  rotating->add_flag("--master", arguments->master, "The master key (audit.master_key_file)");
  rotating->add_flag("--log", arguments->log, "A new key signs checkpoints beside the present one");
  rotating->add_flag("--retire-log", arguments->retire, "The former signing keys sign no more");
  add_organization(*rotating, *arguments, false);
  add_ticket(*rotating, *arguments);
  rotating->callback(cli.run([=, &cli] { return rotate(*arguments, cli); }));

  auto* retention = noun.add_subcommand("retention", "How long entries are kept");
  retention->require_subcommand(1);
  auto* status =
      make_verb(*retention, "status", "The policy, and what it would remove now", *arguments);
  status->callback(cli.run([=, &cli] { return retention_status(*arguments, cli); }));
  auto* applying =
      make_verb(*retention, "apply",
                "Remove the entries whose age is past the policy; their hashes stay", *arguments);
  add_ticket(*applying, *arguments);
  applying->callback(cli.run([=, &cli] { return perform(*arguments, ActKind::trim, cli); }));
}

}  // namespace domicile::app
