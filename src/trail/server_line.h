// A record of PostgreSQL's own log, from its jsonlog (15 and later) or csvlog form. Only these forms:
// in the plain text log a newline in a name or a statement makes a line of the attacker's choice; here
// every field is quoted by the server.
//
// Pure; hostile input gives nullopt, never a guess.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace domicile::trail {

enum class LogForm { json, csv };

constexpr std::size_t kServerRecordBytesMax = 4u << 20;  // longer ones are passed over, and counted

struct ServerRecord {
  std::string time;  // as the server wrote it: "2026-11-30 09:43:53.123 UTC"
  std::string user;
  std::string database;
  std::string remote_host;  // "[local]" for a Unix socket
  std::string session;      // unique for a session of the server
  std::uint64_t line = 0;   // within the session: the two name the record
  std::uint64_t pid = 0;
  std::string ps;        // "authentication", "SELECT", "idle"
  std::string severity;  // "LOG", "FATAL"
  std::string state;     // SQLSTATE
  std::string message;
  std::string context;  // not empty: a function said it
  std::string application;
  std::string backend;  // "client backend", "postmaster"
};

// Where the first whole record of `bytes` ends, behind its newline; nullopt: it is not whole yet. A CSV
// record may hold newlines within quotes.
std::optional<std::size_t> record_end(LogForm form, std::string_view bytes);
// `text` without or with its newline.
std::optional<ServerRecord> parse_server_record(LogForm form, std::string_view text);
// Milliseconds since 1970, when the server writes UTC; nullopt else: names of zones are ambiguous.
std::optional<std::int64_t> server_time_ms(std::string_view time);

}  // namespace domicile::trail
