// domicile audit list|tail|show|export: reads a log, also while its node writes to it.
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/audit_acts.h"
#include "app/audit_view.h"
#include "app/cli.h"
#include "app/cmd_audit_personal.h"
#include "app/cmd_audit_query.h"
#include "app/cmd_audit_verify.h"
#include "app/cmd_audit_witness.h"
#include "audit/event_reader.h"
#include "audit/log_reader.h"
#include "base/encoding.h"
#include "base/folder_watch.h"
#include "crypto/sha256.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct AuditArguments {
  LogChoice log;
  audit::EventFilter filter;
  std::string from;
  std::string to;
  std::uint64_t sequence = 0;
  std::uint64_t limit = 0;
  std::uint64_t last = 20;
  bool follow = false;
  std::string file;
};

Result<void> finish(AuditArguments& arguments) {
  if (!arguments.from.empty()) arguments.filter.from_ms = TRY(parse_event_time(arguments.from));
  if (!arguments.to.empty()) arguments.filter.to_ms = TRY(parse_event_time(arguments.to));
  return {};
}

std::map<std::string, std::string> facts_of_reading(const AuditArguments& arguments) {
  std::map<std::string, std::string> facts;
  for (const auto& [name, value] : {std::pair("kind", arguments.filter.kind),
                                    {"outcome", arguments.filter.outcome},
                                    {"of", arguments.filter.organization},
                                    {"from", arguments.from},
                                    {"to", arguments.to}}) {
    if (!value.empty()) facts[name] = value;
  }
  if (arguments.sequence > 0) facts["index"] = std::to_string(arguments.sequence - 1);
  return facts;
}

// That persons are read is on record before the first of them is shown.
Result<void> tell_opening(const AuditArguments& arguments, const char* verb) {
  if (!arguments.log.open) return {};
  const NodeConfig config = TRY(load_node_config(arguments.log.config));
  audit::LogAct act{.kind = audit::ActKind::opened, .facts = facts_of_reading(arguments)};
  act.facts["verb"] = verb;
  TRY(act_on_log(config, act));
  return {};
}

// A list of evidence that is not whole says so, on standard error and in its exit code.
int tell_problems(const audit::FolderReport& report) {
  for (const auto& problem : report.problems) fmt::print(stderr, "domicile: {}\n", problem);
  return report.problems.empty() ? 0 : 1;
}

Result<std::string> shown(const LogView& view, const audit::EventRecord& record, const Cli& cli) {
  std::string text = TRY(view.text(record));
  return cli.json ? std::move(text) : event_table_row(record.sequence, text);
}

// Reads everything the filter admits; what `take` fails with ends it.
Result<audit::FolderReport> each_event(
    const LogView& view, const audit::EventFilter& filter,
    const std::function<Result<bool>(const audit::EventRecord&)>& take) {
  auto folder = TRY(audit::open_disk_folder_read_only(view.directory()));
  Result<bool> going = true;
  auto report = TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (filter.admits(audit::facts_of(record.line))) going = take(record);
    return going && *going;
  }));
  if (!going) return std::unexpected(std::move(going).error());
  return report;
}

Result<int> list(AuditArguments arguments, const Cli& cli) {
  TRY(finish(arguments));
  const LogView view = TRY(LogView::of(arguments.log));
  TRY(tell_opening(arguments, "list"));
  if (!cli.json) print(event_table_head());
  std::uint64_t count = 0;
  const auto report =
      TRY(each_event(view, arguments.filter, [&](const audit::EventRecord& record) -> Result<bool> {
        print(TRY(shown(view, record, cli)));
        return arguments.limit == 0 || ++count < arguments.limit;
      }));
  return tell_problems(report);
}

// Where to begin so that `last` events that pass the filter are shown, looking back in steps.
Result<std::uint64_t> tail_begin(audit::LogReader& reader, const AuditArguments& arguments) {
  constexpr std::uint64_t kStep = 4096;
  const std::uint64_t first = TRY(reader.first());
  std::uint64_t begin = TRY(reader.last()) + 1;
  for (std::uint64_t found = 0; begin > first && found < arguments.last;) {
    const std::uint64_t end = begin;
    begin = end - first > kStep ? end - kStep : first;
    std::deque<std::uint64_t> here;
    for (std::uint64_t at = begin; at < end;) {
      const auto entries = TRY(reader.read(at, end - at));
      if (entries.empty()) break;
      for (const auto& entry : entries) {
        if (arguments.filter.admits(audit::facts_of(entry.line))) here.push_back(entry.sequence);
      }
      at = entries.back().sequence + 1;
    }
    if (found + here.size() >= arguments.last) {
      return here[here.size() - (arguments.last - found)];
    }
    found += here.size();
  }
  return begin;
}

Result<int> tail(AuditArguments arguments, const Cli& cli) {
  TRY(finish(arguments));
  const LogView view = TRY(LogView::of(arguments.log));
  TRY(tell_opening(arguments, "tail"));
  auto reader = TRY(audit::LogReader::open(view.directory()));
  const FolderWatch watch(view.directory());  // before the first look, so that nothing is missed
  std::uint64_t next = TRY(tail_begin(reader, arguments));
  if (!cli.json) print(event_table_head());
  for (;;) {
    const auto entries = TRY(reader.read(next, 1024));
    for (const auto& entry : entries) {
      const audit::EventRecord record{entry.sequence, entry.line, entry.sealed};
      if (arguments.filter.admits(audit::facts_of(record.line))) {
        print(TRY(shown(view, record, cli)));
      }
      next = entry.sequence + 1;
    }
    if (!entries.empty()) continue;
    if (!arguments.follow) return 0;
    std::fflush(stdout);
    (void)watch.changed_before(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  }
}

Result<int> show(AuditArguments arguments, const Cli& cli) {
  // `show 42 --config FILE`: the only word is the sequence.
  const std::string& word = arguments.log.directory;
  const bool number = !word.empty() && word.find_first_not_of("0123456789") == word.npos;
  if (arguments.sequence == 0 && number && !arguments.log.config.empty()) {
    arguments.sequence = std::strtoull(word.c_str(), nullptr, 10);
    arguments.log.directory.clear();
  }
  const LogView view = TRY(LogView::of(arguments.log));
  auto reader = TRY(audit::LogReader::open(view.directory()));
  if (arguments.sequence == 0) {
    return fail(Code::invalid, "which record? Name its sequence; the first one is 1");
  }
  const auto found = reader.read(arguments.sequence, 1);
  const bool trimmed = !found && found.error().reason == "audit_trimmed";
  if (!found && !trimmed) return std::unexpected(found.error());
  if (trimmed || found->empty()) {
    return fail(Code::not_found, fmt::format("{} holds no record {}: its records are {} to {}",
                                             view.directory().string(), arguments.sequence,
                                             TRY(reader.first()), TRY(reader.last())));
  }
  TRY(tell_opening(arguments, "show"));
  const auto& entry = found->front();
  const std::string text = TRY(view.text({entry.sequence, entry.line, entry.sealed}));
  print(cli.json ? text : nlohmann::ordered_json::parse(text).dump(2));
  return 0;
}

// Written beside, and named only when it is whole: an export that was cut short is none.
Result<int> export_events(AuditArguments arguments, const Cli& cli) {
  TRY(finish(arguments));
  const LogView view = TRY(LogView::of(arguments.log));
  if (std::filesystem::exists(arguments.file)) {
    return fail(Code::invalid, fmt::format("{} exists: name a new file", arguments.file));
  }
  TRY(tell_opening(arguments, "export"));
  const std::string beside = arguments.file + ".part";
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  std::filesystem::permissions(beside, std::filesystem::perms(0600));
  std::uint64_t records = 0, first = 0, last = 0;
  crypto::Sha256 content;
  const auto report =
      TRY(each_event(view, arguments.filter, [&](const audit::EventRecord& record) -> Result<bool> {
        const std::string line = TRY(view.text(record)) + '\n';
        out << line;
        content.update(line);
        if (records++ == 0) first = record.sequence;
        last = record.sequence;
        return true;
      }));
  out.close();
  if (!out) {
    return fail(Code::unavailable, fmt::format("cannot write {}: is the disk full?", beside));
  }
  audit::LogAct act{.kind = audit::ActKind::exported, .facts = facts_of_reading(arguments)};
  act.facts["file"] = std::filesystem::path(arguments.file).filename().string();
  act.facts["sha256"] = to_hex(crypto::view(content.finish()));
  act.facts["records"] = std::to_string(records);
  act.facts["persons"] = arguments.log.open ? "opened" : "sealed";
  if (records > 0) {
    act.facts["first_index"] = std::to_string(first - 1);
    act.facts["last_index"] = std::to_string(last - 1);
  }
  const std::string told = tell_log(view.directory(), act);
  if (!cli.quiet) fmt::print(stderr, "domicile: {}\n", told);
  std::filesystem::rename(beside, arguments.file);
  if (cli.json) {
    print(Json({{"file", arguments.file},
                {"records", records},
                {"first_sequence", first},
                {"last_sequence", last}})
              .dump());
  } else {
    print(fmt::format("{} records written to {}", records, arguments.file));
  }
  return tell_problems(report);
}

void add_filter(CLI::App& verb, AuditArguments& arguments) {
  std::vector<std::string> kinds;
  for (const auto kind : audit::kEventKinds) kinds.emplace_back(audit::to_string(kind));
  verb.add_option("--kind", arguments.filter.kind, "Only this kind of event")
      ->check(CLI::IsMember(kinds));
  verb.add_option("--outcome", arguments.filter.outcome, "Only allowed, denied or failed")
      ->check(CLI::IsMember({"allowed", "denied", "failed"}));
  verb.add_option("--organization", arguments.filter.organization, "Only this organization's key");
  verb.add_option("--from", arguments.from, "From this time on (2026-11-22T20:31:05Z)");
  verb.add_option("--to", arguments.to, "Before this time");
}

}  // namespace

void add_audit(CLI::App& root, Cli& cli) {
  auto arguments = std::make_shared<AuditArguments>();
  auto* noun = root.add_subcommand("audit", "The tamper-evident log of a region");
  noun->require_subcommand(1);
  const auto verb = [&](const char* name, const char* description) {
    auto* added = noun->add_subcommand(name, description);
    arguments->log.add_options(*added);
    return added;
  };
  auto* listing = verb("list", "Events, oldest first; --output json prints the OCSF lines");
  add_filter(*listing, *arguments);
  listing->add_option("--limit", arguments->limit, "Stop after so many");
  listing->callback(cli.run([=, &cli] { return list(*arguments, cli); }));

  auto* tailing = verb("tail", "The last events, and with --follow those that come");
  add_filter(*tailing, *arguments);
  tailing->add_option("-n,--last", arguments->last, "How many (20)");
  tailing->add_flag("-f,--follow", arguments->follow, "Go on until interrupted");
  tailing->callback(cli.run([=, &cli] { return tail(*arguments, cli); }));

  auto* showing = verb("show", "One record");
  showing->add_option("sequence", arguments->sequence, "Its sequence");
  showing->callback(cli.run([=, &cli] { return show(*arguments, cli); }));

  add_audit_verify(*noun, cli);
  add_audit_witness(*noun, cli);

  auto* exporting = verb("export", "Write the OCSF lines to a file");
  add_filter(*exporting, *arguments);
  exporting->add_option("--to-file", arguments->file, "A new file")->required();
  exporting->callback(cli.run([=, &cli] { return export_events(*arguments, cli); }));
  add_audit_personal(*noun, cli);
  add_audit_query(*noun, cli);
  add_audit_index(*noun, cli);
}

}  // namespace domicile::app
