// domicile audit list|show|export: reads an event folder, also while its node writes to it.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/cmd_audit_query.h"
#include "app/cmd_audit_verify.h"
#include "app/cmd_audit_witness.h"
#include "audit/event_reader.h"
#include "base/file.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct AuditArguments {
  std::string directory;
  audit::EventFilter filter;
  std::string from;
  std::string to;
  std::uint64_t sequence = 0;
  std::uint64_t limit = 0;
  std::string file;
};

// 2026-11-22, 2026-11-22T20:31, ...:05 or with Z at the end; UTC.
Result<std::int64_t> parse_time(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  std::string plain = text.ends_with('Z') ? text.substr(0, text.size() - 1) : text;
  bool whole = false;
  for (const char* form : {"%4d-%2d-%2d%n", "%4d-%2d-%2dT%2d:%2d%n", "%4d-%2d-%2dT%2d:%2d:%2d%n"}) {
    used = 0;
    hour = minute = second = 0;
    const std::string_view shape = form;
    const int wanted = shape.size() > 24 ? 6 : shape.size() > 14 ? 5 : 3;
    const int read =
        wanted == 3 ? std::sscanf(plain.c_str(), form, &year, &month, &day, &used)
        : wanted == 5
            ? std::sscanf(plain.c_str(), form, &year, &month, &day, &hour, &minute, &used)
            : std::sscanf(plain.c_str(), form, &year, &month, &day, &hour, &minute, &second, &used);
    whole = read == wanted && static_cast<std::size_t>(used) == plain.size();
    if (whole) break;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!whole || !date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
      second > 60) {
    return fail(
        Code::invalid,
        fmt::format("\"{}\" is not a time: write 2026-11-22 or 2026-11-22T20:31:05Z (UTC)", text));
  }
  const auto seconds =
      std::chrono::sys_days(date).time_since_epoch().count() * std::int64_t{86'400} + hour * 3600 +
      minute * 60 + second;
  return seconds * 1000;
}

std::string time_text(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text, ms % 1000);
}

Result<std::unique_ptr<audit::Folder>> folder_of(const AuditArguments& arguments) {
  return audit::open_disk_folder_read_only(arguments.directory);
}

Result<void> finish(AuditArguments& arguments) {
  if (!arguments.from.empty()) arguments.filter.from_ms = TRY(parse_time(arguments.from));
  if (!arguments.to.empty()) arguments.filter.to_ms = TRY(parse_time(arguments.to));
  return {};
}

// A list of evidence that is not whole says so, on standard error and in its exit code.
int tell_problems(const audit::FolderReport& report) {
  for (const auto& problem : report.problems) fmt::print(stderr, "domicile: {}\n", problem);
  return report.problems.empty() ? 0 : 1;
}

std::string table_row(std::uint64_t sequence, std::string_view line) {
  const auto facts = audit::facts_of(line);
  const Json json = Json::parse(line, nullptr, false);
  std::string what, where, reason;
  if (!json.is_discarded()) {
    what = json.value("/api/operation"_json_pointer, std::string());
    if (what.empty()) what = json.value("/compliance/control"_json_pointer, std::string());
    if (what.empty()) what = json.value("/unmapped/operation"_json_pointer, std::string());
    reason = json.value("/status_code"_json_pointer,
                        json.value("/compliance/status_code"_json_pointer, std::string()));
    where = json.value("/resources/0/name"_json_pointer, std::string());
  }
  return fmt::format("{:>8}  {}  {:<20} {:<8} {:<12} {:<24} {:<24} {}", sequence,
                     time_text(facts.time_ms), facts.kind, facts.outcome, facts.organization, what,
                     where, reason);
}

Result<int> list(AuditArguments arguments, const Cli& cli) {
  TRY(finish(arguments));
  auto folder = TRY(folder_of(arguments));
  if (!cli.json) {
    print(fmt::format("{:>8}  {:<24}  {:<20} {:<8} {:<12} {:<24} {:<24} {}", "SEQUENCE", "TIME",
                      "KIND", "OUTCOME", "ORGANIZATION", "OPERATION", "RESOURCE", "REASON"));
  }
  std::uint64_t shown = 0;
  const auto report = TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (!arguments.filter.admits(audit::facts_of(record.line))) return true;
    print(cli.json ? std::string(record.line) : table_row(record.sequence, record.line));
    return arguments.limit == 0 || ++shown < arguments.limit;
  }));
  return tell_problems(report);
}

Result<int> show(const AuditArguments& arguments, const Cli& cli) {
  auto folder = TRY(folder_of(arguments));
  std::string found;
  const auto report = TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (record.sequence == arguments.sequence) found = record.line;
    return record.sequence < arguments.sequence;
  }));
  if (found.empty()) {
    tell_problems(report);
    return fail(Code::not_found,
                fmt::format("{} holds no record {}: its records are {} to {}", arguments.directory,
                            arguments.sequence, report.first_sequence, report.last_sequence));
  }
  print(cli.json ? found : nlohmann::ordered_json::parse(found).dump(2));
  return 0;
}

Result<int> export_events(AuditArguments arguments, const Cli& cli) {
  TRY(finish(arguments));
  auto folder = TRY(folder_of(arguments));
  std::string content;
  std::uint64_t records = 0;
  const auto report = TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (!arguments.filter.admits(audit::facts_of(record.line))) return true;
    content.append(record.line);
    content += '\n';
    ++records;
    return true;
  }));
  if (std::filesystem::exists(arguments.file)) {
    return fail(Code::invalid, fmt::format("{} exists: name a new file", arguments.file));
  }
  TRY(write_file_atomic(arguments.file, content, 0600));
  if (cli.json) {
    print(Json({{"file", arguments.file},
                {"records", records},
                {"last_sequence", report.last_sequence}})
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
  auto* noun = root.add_subcommand("audit", "The durable event log of a region");
  noun->require_subcommand(1);
  const auto verb = [&](const char* name, const char* description) {
    auto* added = noun->add_subcommand(name, description);
    added
        ->add_option("directory", arguments->directory,
                     "The event folder (audit.directory of the node)")
        ->required();
    return added;
  };
  auto* listing = verb("list", "Events, oldest first; --output json prints the OCSF lines");
  add_filter(*listing, *arguments);
  listing->add_option("--limit", arguments->limit, "Stop after so many");
  listing->callback(cli.run([=, &cli] { return list(*arguments, cli); }));

  auto* showing = verb("show", "One record");
  showing->add_option("sequence", arguments->sequence, "Its sequence")->required();
  showing->callback(cli.run([=, &cli] { return show(*arguments, cli); }));

  add_audit_verify(*noun, cli);
  add_audit_witness(*noun, cli);

  auto* exporting = verb("export", "Write the OCSF lines to a file");
  add_filter(*exporting, *arguments);
  exporting->add_option("--to-file", arguments->file, "A new file")->required();
  exporting->callback(cli.run([=, &cli] { return export_events(*arguments, cli); }));
  add_audit_query(*noun, cli);
  add_audit_index(*noun, cli);
}

}  // namespace domicile::app
