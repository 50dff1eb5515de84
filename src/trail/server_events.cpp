#include "trail/server_events.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "sqltext/parse.h"
#include "sqltext/statements.h"

namespace domicile::trail {
namespace {

using domain::Activity;
using domain::Event;
using domain::EventKind;
using domain::Outcome;

constexpr std::array<std::string_view, 30> kAuditSettings{"log_connections",
                                                          "log_disconnections",
                                                          "log_destination",
                                                          "logging_collector",
                                                          "log_statement",
                                                          "log_min_messages",
                                                          "log_min_error_statement",
                                                          "log_directory",
                                                          "log_filename",
                                                          "log_truncate_on_rotation",
                                                          "log_rotation_age",
                                                          "log_rotation_size",
                                                          "log_line_prefix",
                                                          "log_replication_commands",
                                                          "log_min_duration_statement",
                                                          "log_hostname",
                                                          "log_error_verbosity",
                                                          "row_security",
                                                          "wal_level",
                                                          "max_wal_senders",
                                                          "shared_preload_libraries",
                                                          "session_preload_libraries",
                                                          "pgaudit.log",
                                                          "pgaudit.role",
                                                          "pgaudit.log_catalog",
                                                          "listen_addresses",
                                                          "hba_file",
                                                          "log_timezone",
                                                          "session_replication_role",
                                                          "pgaudit.log_parameter"};

Event event_from(const ServerRecord& record, EventKind kind, const Expectations& expected,
                 WallTime now) {
  Event event;
  event.kind = kind;
  event.outcome = Outcome::allowed;
  event.time = now;
  if (const auto ms = server_time_ms(record.time)) {
    event.time = WallTime(std::chrono::milliseconds(*ms));
  }
  event.actor_role = record.user;
  event.resource = record.database;
  if (record.remote_host != "[local]") event.source_ip = record.remote_host;
  event.request_id = fmt::format("pg:{}:{}", record.session, record.line);
  event.details = {{"source", "postgresql-log"}};
  if (!record.user.empty()) {
    event.details.emplace_back("user", record.user);
    event.details.emplace_back("bypass", expected.logins.contains(record.user) ? "false" : "true");
    event.details.emplace_back("superuser",
                               expected.superusers.contains(record.user) ? "true" : "false");
  }
  if (!record.database.empty()) event.details.emplace_back("database", record.database);
  if (!record.application.empty()) {
    event.details.emplace_back("application_name", record.application);
  }
  return event;
}

bool by_server(const ServerRecord& record) {
  return record.severity == "LOG" && record.context.empty();
}

bool client(const ServerRecord& record) {
  return record.backend.empty() || record.backend == "client backend" ||
         record.backend == "walsender" || record.backend == "not initialized";
}

bool worth_it(const ServerRecord& record, const Expectations& expected) {
  return !expected.logins.contains(record.user) || expected.superusers.contains(record.user);
}

// The name stands in a field of its own, so the text is compared with it instead of searched: a user
// may be called "a database=b application_name=c".
std::optional<Event> session(const ServerRecord& record, const Expectations& expected,
                             WallTime now) {
  const bool replication = record.message.starts_with("replication connection authorized: ");
  std::string said = fmt::format("{}connection authorized: user={}",
                                 replication ? "replication " : "", record.user);
  if (!record.message.starts_with(said) || !by_server(record) || record.ps != "authentication") {
    return std::nullopt;
  }
  if (!worth_it(record, expected) && !replication) return std::nullopt;
  Event event = event_from(record, EventKind::sql_session, expected, now);
  event.operation = replication ? "replication" : "connect";
  if (replication) event.details.emplace_back("replication", "true");
  said += fmt::format(" database={}", record.database);
  constexpr std::string_view kApplication = " application_name=";
  const std::string_view rest =
      std::string_view(record.message).substr(std::min(said.size(), record.message.size()));
  if (record.application.empty() && record.message.starts_with(said) &&
      rest.starts_with(kApplication)) {
    const auto name = rest.substr(kApplication.size());
    event.details.emplace_back("application_name", std::string(name.substr(0, name.find(' '))));
  }
  return event;
}

// 28: the login was refused; a wrong password, or no line of pg_hba.conf for it.
std::optional<Event> refused(const ServerRecord& record, const Expectations& expected,
                             WallTime now) {
  if (record.severity != "FATAL" || !record.state.starts_with("28")) return std::nullopt;
  Event event = event_from(record, EventKind::sql_session, expected, now);
  event.operation = "connect";
  event.outcome = Outcome::denied;
  event.reason = fmt::format("sqlstate_{}", record.state);
  return event;
}

// parameter "log_connections" changed to "off"
std::optional<Event> setting(const ServerRecord& record, const Expectations& expected,
                             WallTime now) {
  constexpr std::string_view kBegin = "parameter \"";
  const bool postmaster =
      record.backend.empty() ? record.user.empty() : record.backend == "postmaster";
  if (!by_server(record) || !postmaster || !record.message.starts_with(kBegin)) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(record.message).substr(kBegin.size());
  const auto quote = rest.find('"');
  if (quote == rest.npos) return std::nullopt;
  const std::string name(rest.substr(0, quote));
  rest.remove_prefix(quote + 1);
  constexpr std::string_view kTo = " changed to \"";
  constexpr std::string_view kRemoved = " removed from configuration file";
  const bool changed = rest.starts_with(kTo) && rest.ends_with('"');
  if (!changed && !rest.starts_with(kRemoved)) return std::nullopt;
  Event event = event_from(record, EventKind::config_changed, expected, now);
  event.activity = Activity::update;
  event.operation = "postgresql.setting";
  event.resource = name;
  event.details.emplace_back("setting", name);
  if (audit_setting(name)) {
    event.severity = "high";
    event.details.emplace_back(
        "value",
        changed ? std::string(rest.substr(kTo.size(), rest.size() - kTo.size() - 1)) : "(removed)");
  }
  return event;
}

std::optional<Event> started(const ServerRecord& record, const Expectations& expected,
                             WallTime now) {
  const bool postmaster =
      record.backend.empty() ? record.user.empty() : record.backend == "postmaster";
  if (!by_server(record) || !postmaster ||
      record.message != "database system is ready to accept connections") {
    return std::nullopt;
  }
  Event event = event_from(record, EventKind::log_changed, expected, now);
  event.operation = "trail.server_started";
  event.resource = "postgresql";
  return event;
}

struct Statement {
  std::string command;  // "CREATE TABLE"
  std::string object;
  std::string text;
  bool ddl = false;
};

// AUDIT: SESSION,1,1,DDL,CREATE TABLE,TABLE,public.course,"create table ...",<not logged>
std::optional<Statement> pgaudit(std::string_view message) {
  constexpr std::string_view kBegin = "AUDIT: ";
  if (!message.starts_with(kBegin)) return std::nullopt;
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : message.substr(kBegin.size())) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted && fields.size() < 9) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (fields.size() < 8) return std::nullopt;
  return Statement{.command = fields[4],
                   .object = fields[6],
                   .text = fields[7],
                   .ddl = fields[3] == "DDL" || fields[3] == "ROLE"};
}

bool is_ddl(std::string_view command) {
  for (const std::string_view verb : {"CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "TRUNCATE",
                                      "COMMENT", "SECURITY", "IMPORT", "REASSIGN"}) {
    if (command.starts_with(verb)) return true;
  }
  return false;
}

// "create or replace view v" -> "CREATE VIEW": the first word, and what kind of thing it is about.
std::string command_of(std::string_view text) {
  std::string command;
  unsigned words = 0;
  while (!text.empty() && words < 2) {
    const auto begin = std::ranges::find_if(
        text, [](char c) { return !std::isspace(static_cast<unsigned char>(c)); });
    text.remove_prefix(static_cast<std::size_t>(begin - text.begin()));
    std::string word;
    for (const char c : text.substr(0, 24)) {
      if (!std::isalpha(static_cast<unsigned char>(c))) break;
      word += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    if (word.empty()) break;
    text.remove_prefix(word.size());
    constexpr std::array<std::string_view, 6> kBetween{"OR",   "REPLACE",   "UNIQUE",
                                                       "TEMP", "TEMPORARY", "UNLOGGED"};
    if (words > 0 && std::ranges::find(kBetween, word) != kBetween.end()) continue;
    if (words > 0 && !is_ddl(command)) break;  // the second word of others is a name
    command += (command.empty() ? "" : " ") + word;
    ++words;
  }
  return command;
}

// The server logs a statement before it knows what it is; one text may hold several.
std::optional<Statement> logged_statement(const ServerRecord& record) {
  std::string_view text = record.message;
  if (text.starts_with("statement: ")) {
    text.remove_prefix(text.find(' ') + 1);
  } else if (text.starts_with("execute ") && text.contains(": ")) {
    text.remove_prefix(text.find(": ") + 2);
  } else {
    return std::nullopt;
  }
  Statement said{.command = {}, .object = {}, .text = std::string(text), .ddl = false};
  for (const sqltext::Statement& part : sqltext::split_statements(text)) {
    const std::string command = command_of(part.text);
    if (said.command.empty() || is_ddl(command)) said.command = command;
    said.ddl = is_ddl(command);
    if (said.ddl) break;
  }
  return said;
}

std::optional<Event> statement(const ServerRecord& record, const Expectations& expected,
                               WallTime now) {
  if (record.severity != "LOG" || !client(record)) return std::nullopt;
  auto said = pgaudit(record.message);
  if (!said && record.context.empty()) said = logged_statement(record);
  if (!said || (!said->ddl && !worth_it(record, expected))) return std::nullopt;
  Event event = event_from(record, said->ddl ? EventKind::schema_changed : EventKind::sql_statement,
                           expected, now);
  event.operation = said->command.empty() ? "statement" : said->command;
  event.activity = said->ddl ? Activity::update : Activity::other;
  if (said->ddl && !said->object.empty()) event.resource = said->object;
  const auto made = sqltext::fingerprint(said->text);
  if (made) event.details.emplace_back("fingerprint", *made);
  return event;
}

}  // namespace

bool audit_setting(std::string_view name) {
  return std::ranges::find(kAuditSettings, name) != kAuditSettings.end();
}

std::optional<Event> event_of(const ServerRecord& record, const Expectations& expected,
                              WallTime now) {
  for (const auto& judge : {session, refused, setting, started, statement}) {
    if (auto event = judge(record, expected, now)) return event;
  }
  return std::nullopt;
}

}  // namespace domicile::trail
