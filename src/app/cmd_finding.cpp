// domicile finding list|show|ack|assign|accept|fix|reopen|evidence: what was found, and what people do
// about it. Each step is an event of the region's log.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cmd_alert.h"
#include "app/directory_verb.h"
#include "app/dsn_option.h"
#include "app/text_table.h"
#include "store/finding_store.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kStaleSeconds = 26 * 3600;  // checks run once a day

struct FindingOptions {
  DirectoryOptions directory;
  store::FindingStore::Filter filter;
  std::int64_t id = 0;
  std::string note;
  std::string approver;
  std::string until;
  std::string lasts;
};

Result<store::FindingStore> open_store(const FindingOptions& options) {
  return store::FindingStore(
      Secret(TRY(database_dsn(options.directory.dsn, options.directory.dsn_file))));
}

Json json_of(const store::FindingRow& row) {
  Json out = {{"id", row.id},
              {"check", row.check},
              {"object", row.object},
              {"source", row.source},
              {"title", row.title},
              {"severity", row.severity},
              {"state", row.state},
              {"owner", row.owner},
              {"first_seen", row.first_seen},
              {"last_seen", row.last_seen},
              {"times", row.times},
              {"last_sequence", row.last_sequence}};
  if (row.state == "accepted") {
    out["accepted"] = {
        {"reason", row.reason}, {"approver", row.approver}, {"until", row.accepted_until}};
  }
  return out;
}

Result<int> list(const Cli& cli, const FindingOptions& options) {
  auto store = TRY(open_store(options));
  const auto rows = TRY(store.list(options.filter));
  if (cli.json) {
    Json out = Json::array();
    for (const auto& row : rows) out.push_back(json_of(row));
    print(out.dump());
    return 0;
  }
  if (rows.empty()) {
    print("no finding; domicile finding evidence says what was looked at, and when");
    return 0;
  }
  std::vector<std::vector<std::string>> table = {
      {"ID", "SEVERITY", "STATE", "CHECK", "OBJECT", "OWNER", "LAST SEEN", "TIMES"}};
  for (const auto& row : rows) {
    table.push_back({std::to_string(row.id), row.severity, row.state, row.check, row.object,
                     row.owner, row.last_seen, std::to_string(row.times)});
  }
  std::string text = text_table(table, {0, 7});
  text.pop_back();
  print(text);
  return 0;
}

Result<int> show(const Cli& cli, const FindingOptions& options) {
  auto store = TRY(open_store(options));
  const auto row = TRY(store.find(options.id));
  const auto steps = TRY(store.history(options.id));
  if (cli.json) {
    Json out = json_of(row);
    out["history"] = Json::array();
    for (const auto& step : steps) {
      out["history"].push_back({{"at", step.at},
                                {"step", step.step},
                                {"by", step.by_operator},
                                {"role", step.by_role},
                                {"note", step.note}});
    }
    print(out.dump());
    return 0;
  }
  print(
      fmt::format("finding {}: {} ({})\n  {} {}\n  {}{}, seen {} times from {} to {}, last by "
                  "record {} of the log",
                  row.id, row.title, row.severity, row.check, row.object, row.state,
                  row.owner.empty() ? "" : ", owned by " + row.owner, row.times, row.first_seen,
                  row.last_seen, row.last_sequence));
  if (row.state == "accepted") {
    print(fmt::format("  accepted until {}, approved by {}: {}", row.accepted_until, row.approver,
                      row.reason));
  }
  for (const auto& step : steps) {
    print(fmt::format("  {}  {:<12} {}{}", step.at, step.step, printable(step.by_operator),
                      step.note.empty() ? "" : ": " + printable(step.note)));
  }
  return 0;
}

Result<int> take_step(const Cli& cli, const FindingOptions& options, const std::string& step) {
  const auto by = TRY(administrator(options.directory));
  std::string until;
  if (step == "accept") {
    if (options.until.empty() == options.lasts.empty()) {
      return fail(Code::invalid,
                  "say until when it is accepted: --until 2026-12-31T00:00:00Z or --for 30d");
    }
    until = options.until.empty()
                ? utc(SystemClock().unix_seconds() + TRY(parse_duration(options.lasts)))
                : utc(TRY(parse_utc(options.until)));
  }
  auto store = TRY(open_store(options));
  if (options.directory.dry_run) {
    print(fmt::format("would take the step {} on: {}", step, TRY(store.find(options.id)).title));
    return 0;
  }
  TRY(store.step(options.id, step, by.name, options.note, options.approver, until));
  const auto row = TRY(store.find(options.id));
  print(cli.json ? json_of(row).dump()
                 : fmt::format("finding {} is {}{}", row.id, row.state,
                               row.owner.empty() ? "" : ", owned by " + row.owner));
  return 0;
}

Result<int> evidence(const Cli& cli, const FindingOptions& options) {
  auto store = TRY(open_store(options));
  const auto rows = TRY(store.evidence());
  Json out = Json::array();
  std::size_t stale = 0;
  std::vector<std::vector<std::string>> table = {
      {"CHECK", "OBJECT", "OUTCOME", "LAST EVIDENCE", ""}};
  for (const auto& row : rows) {
    const bool old = row.age_s < 0 || row.age_s > kStaleSeconds;
    stale += old ? 1 : 0;
    out.push_back({{"check", row.check},
                   {"object", row.object},
                   {"outcome", row.outcome},
                   {"last_evidence", row.last_evidence},
                   {"last_attempt", row.last_attempt},
                   {"stale", old}});
    table.push_back({row.check, row.object, row.outcome,
                     row.last_evidence.empty() ? "none" : row.last_evidence,
                     !old                        ? ""
                     : row.last_evidence.empty() ? "no evidence, ever"
                                                 : "no evidence since"});
  }
  if (cli.json) {
    print(out.dump());
  } else {
    std::string text = text_table(table);
    text.pop_back();
    print(text);
    print(fmt::format("{} of {} have no evidence of the last 26 hours", stale, rows.size()));
  }
  return stale == 0 && !rows.empty() ? 0 : 1;
}

}  // namespace

void add_finding(CLI::App& root, Cli& cli) {
  const auto options = std::make_shared<FindingOptions>();
  auto* noun =
      root.add_subcommand("finding", "What was found in a region, and what is done about it");
  noun->require_subcommand(1);
  const auto verb = [&](const char* name, const char* what, Verb kind, auto body) {
    auto* app = noun->add_subcommand(name, what);
    add_directory_options(*app, options->directory, kind);
    app->callback(cli.run([&cli, options, body] { return body(cli, *options); }));
    return app;
  };
  auto* lists = verb("list", "Findings that are not fixed, the gravest first", Verb::reads, list);
  lists->add_option("--state", options->filter.state, "open, acknowledged, accepted or fixed")
      ->check(CLI::IsMember({"open", "acknowledged", "accepted", "fixed"}));
  lists->add_option("--check", options->filter.check,
                    "A check or rule, or the beginning of its name");
  lists->add_flag("--all", options->filter.closed, "Also those that are fixed");
  verb("show", "One finding and its history", Verb::reads, show)
      ->add_option("id", options->id, "Its number")
      ->required();
  verb("evidence", "When each check last proved anything (exit 1: not within 26 hours)",
       Verb::reads, evidence);
  const auto step = [&](const char* name, const char* what, const char* done) {
    auto* app = verb(name, what, Verb::changes,
                     [done = std::string(done)](const Cli& c, const FindingOptions& o) {
                       return take_step(c, o, done);
                     });
    app->add_option("id", options->id, "Its number")->required();
    return app;
  };
  step("ack", "Say that somebody is on it", "acknowledge")
      ->add_option("--note", options->note, "What for the history");
  step("fix", "Say that it is repaired; seen again, it opens again", "fix")
      ->add_option("--note", options->note, "What was done");
  step("reopen", "Open it again", "reopen")->add_option("--note", options->note, "Why");
  step("assign", "Give it to somebody", "assign")
      ->add_option("--to", options->note, "The owner")
      ->required();
  auto* accepts = step("accept", "Live with it for a while", "accept");
  accepts->add_option("--reason", options->note, "Why it is acceptable")->required();
  accepts->add_option("--approver", options->approver, "Who approved it: not who accepts it")
      ->required();
  accepts->add_option("--until", options->until, "When it opens again: 2026-12-31T00:00:00Z");
  accepts->add_option("--for", options->lasts, "Or in how long: 30d");
}

}  // namespace domicile::app
