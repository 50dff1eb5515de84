// domicile rule list|show|check|run|explain: the detections' rules, and why one does or does not match.
#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/rule_files.h"
#include "app/text_table.h"
#include "audit/event_reader.h"
#include "detect/detector.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct RuleArguments {
  std::string folder;
  std::string rule;
  std::string directory;
  std::uint64_t sequence = 0;
};

Json json_of(const detect::RuleHead& head) {
  return {{"id", head.id},
          {"name", head.name},
          {"title", head.title},
          {"level", detect::to_string(head.level)},
          {"status", head.status},
          {"tags", head.tags},
          {"description", head.description},
          {"falsepositives", head.false_positives},
          {"file", head.file},
          {"line", head.line}};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

Result<int> list(const RuleArguments& arguments, const Cli& cli) {
  const auto rules = TRY(load_rules(arguments.folder));
  if (cli.json) {
    Json out = Json::array();
    for (const auto* head : rules->heads()) out.push_back(json_of(*head));
    print(out.dump());
    return 0;
  }
  std::vector<std::vector<std::string>> table = {{"NAME", "LEVEL", "TAGS", "TITLE"}};
  for (const auto* head : rules->heads()) {
    table.push_back({head->name.empty() ? head->id : head->name,
                     std::string(detect::to_string(head->level)), joined(head->tags), head->title});
  }
  std::string text = text_table(table);
  text.pop_back();
  print(text);
  return 0;
}

Result<const detect::RuleHead*> find_rule(const detect::RuleSet& rules, const std::string& name) {
  const auto* head = rules.find(name);
  if (head == nullptr) {
    return fail(Code::not_found, fmt::format("no rule bears the name or id \"{}\": domicile rule "
                                             "list shows them",
                                             name));
  }
  return head;
}

Result<int> show(const RuleArguments& arguments, const Cli& cli) {
  const auto rules = TRY(load_rules(arguments.folder));
  const auto* head = TRY(find_rule(*rules, arguments.rule));
  const auto file = std::ranges::find(rules->files(), head->file, &detect::RuleFile::name);
  if (cli.json) {
    Json out = json_of(*head);
    out["source"] = file->text;
    print(out.dump());
    return 0;
  }
  print(fmt::format("# {}\n{}", file->name,
                    file->text.substr(0, file->text.find_last_not_of('\n') + 1)));
  return 0;
}

Result<int> check(const RuleArguments& arguments, const Cli& cli) {
  const auto own = TRY(detect::read_rule_folder(arguments.folder));
  const auto rules = TRY(load_rules(arguments.folder));
  const auto built_in = detect::built_in_rules().size();
  std::size_t rules_of_folder = 0, without_probe = 0;
  for (const auto* head : rules->heads()) {
    const bool mine = std::ranges::find(own, head->file, &detect::RuleFile::name) != own.end();
    rules_of_folder += mine ? 1 : 0;
    if (!mine || !head->probe.empty()) continue;
    ++without_probe;
    if (!cli.json) {
      print(fmt::format("{}: line {}: \"{}\" has no probe: domicile alert test cannot fire it",
                        head->file, head->line, head->title));
    }
  }
  if (cli.json) {
    print(Json({{"files", own.size()},
                {"rules", rules_of_folder},
                {"built_in_files", built_in},
                {"without_probe", without_probe}})
              .dump());
  } else {
    print(fmt::format("{} rules in {} files are valid", rules_of_folder, own.size()));
  }
  return 0;
}

// One selection, test by test, with what the event holds.
void explain_selection(const detect::Selection& selection, const detect::RuleSet& rules,
                       detect::EventDocument& event, Json& out) {
  Json tests = Json::array();
  for (const auto& map : selection.any) {
    for (const auto& [field, test] : map.tests) {
      Json values = Json::array();
      for (const auto& value : event.values(field)) values.push_back(value.as_text());
      tests.push_back({{"test", test.source()},
                       {"field", rules.fields().paths()[field]},
                       {"values", std::move(values)},
                       {"fits", test.matches(event.values(field))}});
    }
    if (map.keywords) {
      tests.push_back({{"test", map.keywords->source()},
                       {"field", ""},
                       {"values", Json::array()},
                       {"fits", map.keywords->matches(event.everything())}});
    }
  }
  out.push_back({{"selection", selection.name},
                 {"fits", selection.matches(event)},
                 {"tests", std::move(tests)}});
}

void print_explanation(const detect::Rule& rule, const Json& selections, bool matches,
                       std::uint64_t sequence) {
  print(fmt::format("{}\n{} record {}", rule.head.title, matches ? "matches" : "does not match",
                    sequence));
  print(fmt::format("condition: {}", rule.condition_text));
  for (const Json& selection : selections) {
    print(fmt::format("  {} {}", selection["fits"].get<bool>() ? "yes" : "no ",
                      selection["selection"].get<std::string>()));
    for (const Json& test : selection["tests"]) {
      print(fmt::format("      {} {}   the record has {}", test["fits"].get<bool>() ? "yes" : "no ",
                        test["test"].get<std::string>(),
                        test["values"].empty() ? "nothing there" : test["values"].dump()));
    }
  }
}

Result<int> explain(const RuleArguments& arguments, const Cli& cli) {
  const auto rules = TRY(load_rules(arguments.folder));
  const auto* head = TRY(find_rule(*rules, arguments.rule));
  const auto rule =
      std::ranges::find_if(rules->rules(), [&](const auto& r) { return &r.head == head; });
  if (rule == rules->rules().end()) {
    return fail(Code::invalid,
                fmt::format("\"{}\" is a correlation: it counts the matches of other "
                            "rules, explain one of these",
                            arguments.rule));
  }
  auto folder = TRY(audit::open_disk_folder_read_only(arguments.directory));
  std::string line;
  TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (record.sequence == arguments.sequence) line = record.line;
    return record.sequence < arguments.sequence;
  }));
  if (line.empty()) {
    return fail(Code::not_found,
                fmt::format("{} holds no record {}", arguments.directory, arguments.sequence));
  }
  detect::EventDocument event(rules->fields());
  TRY(event.load(line));
  Json selections = Json::array();
  for (const auto& selection : rule->selections)
    explain_selection(selection, *rules, event, selections);
  const bool matches = rule->matches(event);
  if (cli.json) {
    print(Json({{"rule", head->id},
                {"sequence", arguments.sequence},
                {"matches", matches},
                {"selections", selections}})
              .dump());
  } else {
    print_explanation(*rule, selections, matches, arguments.sequence);
  }
  return matches ? 0 : 1;
}

// What the rules would have found in a log: before a rule is given to a node, and for evidence.
Result<int> run_rules(const RuleArguments& arguments, const Cli& cli) {
  const auto rules = TRY(load_rules(arguments.folder));
  if (!arguments.rule.empty()) TRY(find_rule(*rules, arguments.rule));
  auto folder = TRY(audit::open_disk_folder_read_only(arguments.directory));
  detect::Detector detector(*rules);
  std::uint64_t records = 0, found = 0;
  std::optional<Error> problem;
  TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    ++records;
    const auto detections = detector.feed(record.sequence, record.line);
    if (!detections) {
      problem = detections.error();
      return false;
    }
    for (const auto& detection : *detections) {
      const detect::RuleHead& head = *detection.rule;
      if (!arguments.rule.empty() && head.id != arguments.rule && head.name != arguments.rule)
        continue;
      ++found;
      if (cli.json) {
        print(Json({{"id", detection.id},
                    {"rule", head.id},
                    {"name", head.name},
                    {"level", detect::to_string(head.level)},
                    {"first_sequence", detection.first_sequence},
                    {"last_sequence", detection.last_sequence},
                    {"count", detection.count},
                    {"organization", detection.organization},
                    {"subject", detection.subject}})
                  .dump());
      } else {
        print(fmt::format("{:>8} to {:>8}  {:<8}  {:<28}  {} {}", detection.first_sequence,
                          detection.last_sequence, detect::to_string(head.level),
                          head.name.empty() ? head.id : head.name, detection.organization,
                          detection.subject));
      }
    }
    return true;
  }));
  if (problem) return std::unexpected(std::move(*problem));
  if (!cli.json) print(fmt::format("{} detections in {} records", found, records));
  return 0;
}

}  // namespace

void add_rule(CLI::App& root, Cli& cli) {
  auto arguments = std::make_shared<RuleArguments>();
  auto* noun = root.add_subcommand("rule", "The rules by which the log is watched");
  noun->require_subcommand(1);
  const auto folder = [&](CLI::App* verb) {
    verb->add_option("--rules", arguments->folder,
                     "A folder of more rules (detections.rules of the node)");
  };
  auto* listing = noun->add_subcommand("list", "Every rule that detects");
  folder(listing);
  listing->callback(cli.run([=, &cli] { return list(*arguments, cli); }));

  auto* showing = noun->add_subcommand("show", "The file of one rule");
  folder(showing);
  showing->add_option("rule", arguments->rule, "Its name or id")->required();
  showing->callback(cli.run([=, &cli] { return show(*arguments, cli); }));

  auto* checking = noun->add_subcommand("check", "Read a folder of rules as a node would");
  checking->add_option("folder", arguments->folder, "The folder")->required();
  checking->callback(cli.run([=, &cli] { return check(*arguments, cli); }));

  auto* running =
      noun->add_subcommand("run", "What the rules would have found in a log that is there");
  folder(running);
  running->add_option("directory", arguments->directory, "The event folder (audit.directory)")
      ->required();
  running->add_option("--rule", arguments->rule, "Only this rule (name or id)");
  running->callback(cli.run([=, &cli] { return run_rules(*arguments, cli); }));

  auto* explaining =
      noun->add_subcommand("explain", "Why a rule matches a record, or why not (exit 1)");
  folder(explaining);
  explaining->add_option("rule", arguments->rule, "Its name or id")->required();
  explaining->add_option("sequence", arguments->sequence, "The record's sequence")->required();
  explaining->add_option("directory", arguments->directory, "The event folder (audit.directory)")
      ->required();
  explaining->callback(cli.run([=, &cli] { return explain(*arguments, cli); }));
}

}  // namespace domicile::app
