// What the verbs that read the log share: which log, with or without its persons, and how an event
// looks in a table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "app/cli.h"
#include "audit/event_reader.h"
#include "audit/personal_vault.h"
#include "base/clock.h"

namespace domicile::app {

// 2026-11-22, 2026-11-22T20:31, ...:05 or with Z at the end; UTC. Milliseconds since the epoch.
Result<std::int64_t> parse_event_time(const std::string& text);
std::string event_time_text(std::int64_t ms);

std::string event_table_head();
std::string event_table_row(std::uint64_t sequence, std::string_view line);

// `DIRECTORY` or `--config`, and `--open`.
struct LogChoice {
  std::string directory;
  std::string config;
  bool open = false;

  void add_options(CLI::App& verb);
};

// A log as a verb reads it: persons as commitments, or opened with the node's keys.
class LogView {
 public:
  static Result<LogView> of(const LogChoice& choice);

  const std::filesystem::path& directory() const { return directory_; }
  // The line with its persons, where they were asked for and can be opened.
  Result<std::string> text(const audit::EventRecord& record) const;
  std::uint64_t opened() const { return opened_; }  // lines with at least one person

 private:
  std::filesystem::path directory_;
  std::unique_ptr<SystemClock> clock_;
  std::unique_ptr<audit::PersonalVault> vault_;  // null: commitments
  mutable std::uint64_t opened_ = 0;
};

}  // namespace domicile::app
