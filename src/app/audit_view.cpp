#include "app/audit_view.h"

#include <chrono>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/node_config.h"

namespace domicile::app {

using namespace nlohmann::literals;

Result<std::int64_t> parse_event_time(const std::string& text) {
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

std::string event_time_text(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text, ms % 1000);
}

std::string event_table_head() {
  return fmt::format("{:>8}  {:<24}  {:<20} {:<8} {:<12} {:<24} {:<24} {}", "SEQUENCE", "TIME",
                     "KIND", "OUTCOME", "ORGANIZATION", "OPERATION", "RESOURCE", "REASON");
}

std::string event_table_row(std::uint64_t sequence, std::string_view line) {
  const auto facts = audit::facts_of(line);
  const auto json = nlohmann::json::parse(line, nullptr, false);
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
                     event_time_text(facts.time_ms), facts.kind, facts.outcome, facts.organization,
                     what, where, reason);
}

void LogChoice::add_options(CLI::App& verb) {
  verb.add_option("directory", directory, "The log's folder (audit.directory of the node)");
  verb.add_option("--config", config, "The node's file: its log, and its keys for --open")
      ->type_name("FILE");
  verb.add_flag("--open", open, "With the persons, opened by the node's keys (needs --config)");
}

Result<LogView> LogView::of(const LogChoice& choice) {
  LogView view;
  view.directory_ = choice.directory;
  if (choice.config.empty()) {
    if (choice.open) {
      return fail(Code::invalid,
                  "--open needs --config FILE: persons are sealed under the node's keys");
    }
    if (choice.directory.empty()) {
      return fail(Code::invalid, "which log? Name its folder, or the node's file with --config");
    }
    return view;
  }
  const NodeConfig config = TRY(load_node_config(choice.config));
  if (view.directory_.empty()) view.directory_ = config.audit_directory;
  if (!choice.open) return view;
  view.clock_ = std::make_unique<SystemClock>();
  view.vault_ = TRY(
      audit::PersonalVault::open_read_only({.key_directory = config.audit_log.key_directory,
                                            .master_file = config.audit_personal.master_key_file,
                                            .clock = view.clock_.get()}));
  return view;
}

Result<std::string> LogView::text(const audit::EventRecord& record) const {
  if (vault_ == nullptr || record.sealed.empty()) return std::string(record.line);
  auto opened = TRY(vault_->open_event(record.line, record.sealed));
  ++opened_;
  return std::move(opened.line);
}

}  // namespace domicile::app
