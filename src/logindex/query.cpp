#include "logindex/query.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "crypto/sha256.h"
#include "sqltext/parse.h"

namespace domicile::logindex {
namespace {

constexpr int kFetchRows = 500;
constexpr std::string_view kMayDoMore =
    "SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls "
    "OR pg_catalog.pg_has_role(r.oid, 'pg_execute_server_program', 'MEMBER') "
    "OR pg_catalog.pg_has_role(r.oid, 'pg_read_server_files', 'MEMBER') "
    "OR pg_catalog.pg_has_role(r.oid, 'pg_write_server_files', 'MEMBER') "
    "OR pg_catalog.has_table_privilege(r.oid, 'domicile_index.event', 'INSERT, UPDATE, DELETE, "
    "TRUNCATE') OR pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), "
    "'CREATE, TEMPORARY') FROM pg_catalog.pg_roles r WHERE r.rolname = session_user";

Result<void> only_reads(pg::Connection& connection) {
  const auto there =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile_index.event') IS NOT NULL"));
  if (!there.boolean(0, 0)) {
    return fail(Code::not_found,
                "this database holds no index of a log; make one with: domicile audit index create",
                "no_index");
  }
  const auto more = TRY(connection.query(std::string(kMayDoMore)));
  if (more.size() == 1 && !more.boolean(0, 0)) return {};
  return fail(Code::denied,
              "this login may do more than read the index, and so could the question; use the "
              "reader's file that domicile audit index create wrote",
              "not_a_reader");
}

bool holds_sequence(std::string_view column) {
  return column == "sequence" || column == "first_sequence" || column == "last_sequence";
}

void add_rows(const pg::Rows& rows, Answer& answer, std::size_t& bytes) {
  for (int i = 0; i < rows.size(); ++i) {
    auto& row = answer.rows.emplace_back();
    for (int c = 0; c < rows.columns(); ++c) {
      if (rows.null(i, c)) {
        row.emplace_back();
        continue;
      }
      const std::string_view text = rows.text(i, c);
      bytes += text.size();
      row.emplace_back(text);
      std::int64_t sequence = 0;
      if (!holds_sequence(rows.column_name(c)) ||
          std::from_chars(text.begin(), text.end(), sequence).ec != std::errc{}) {
        continue;
      }
      answer.first_sequence =
          answer.first_sequence == 0 ? sequence : std::min(answer.first_sequence, sequence);
      answer.last_sequence = std::max(answer.last_sequence, sequence);
    }
  }
}

Result<void> fetch(pg::Connection& connection, const Ask& question, Answer& answer) {
  const auto until = std::chrono::steady_clock::now() + question.time_most;
  std::size_t bytes = 0;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(Code::timeout, "the question took too long", "57014");
    TRY(connection.script(fmt::format("SET LOCAL statement_timeout = {}", left.count())));
    // One row more than wanted tells whether there are more.
    const std::size_t wanted =
        std::min<std::size_t>(kFetchRows, question.rows_most + 1 - answer.rows.size());
    const auto rows = TRY(connection.query(fmt::format("FETCH {} FROM answer", wanted)));
    if (answer.columns.empty()) {
      for (int c = 0; c < rows.columns(); ++c) {
        answer.columns.push_back({std::string(rows.column_name(c)), rows.whole_number(c)});
      }
    }
    add_rows(rows, answer, bytes);
    answer.more = answer.rows.size() > question.rows_most || bytes > question.bytes_most;
    if (answer.rows.size() > question.rows_most) answer.rows.pop_back();
    if (answer.more || static_cast<std::size_t>(rows.size()) < wanted) return {};
  }
}

std::string fingerprint_of(const std::string& sql) {
  const auto made = sqltext::fingerprint(sql);
  return made ? *made : crypto::sha256_hex(sql).substr(0, 16);
}

Result<void> note(pg::Connection& connection, const Ask& question, const Answer& answer) {
  const auto noted = TRY(connection.query(
      "SELECT domicile_index.note_question($1, $2, $3, $4, $5, $6, $7)",
      {question.person, question.question, question.organization, fingerprint_of(question.sql),
       std::to_string(answer.rows.size()), std::to_string(answer.first_sequence),
       std::to_string(answer.last_sequence)}));
  if (!noted.null(0, 0)) return {};
  return fail(Code::unavailable,
              "1,000 questions of this login wait to be recorded: does the node that follows this "
              "index run? The answer is withheld until they are",
              "questions_wait");
}

void append_csv(std::string& out, std::string_view text, bool number) {
  const bool formula = !number && !text.empty() &&
                       std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  if (!formula && text.find_first_of(",\"\r\n") == text.npos) {
    out += text;
    return;
  }
  out += formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

Result<Answer> ask(const std::string& dsn, const Ask& question) {
  auto connection = TRY(pg::Connection::open(dsn));
  TRY(only_reads(connection));
  Answer answer;
  auto asked = connection.transaction(
      [&]() -> Result<void> {
        TRY(connection.script(fmt::format(
            "SET LOCAL search_path = domicile_index, pg_catalog; SET LOCAL lock_timeout = '5s'; "
            "SET LOCAL statement_timeout = {}",
            question.time_most.count())));
        TRY(connection.query("DECLARE answer NO SCROLL CURSOR FOR " + question.sql,
                             question.parameters));
        return fetch(connection, question, answer);
      },
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!asked) {
    // What is no read at all has codes of many classes.
    if (asked.error().code == Code::internal) asked.error().code = Code::denied;
    return std::unexpected(std::move(asked).error().within("the database refused the question"));
  }
  // Whatever the statement did to the session, the word of it goes by a connection of its own.
  auto noting = TRY(pg::Connection::open(dsn));
  TRY(noting.transaction([&] { return note(noting, question, answer); }, "BEGIN READ WRITE"));
  return answer;
}

std::string csv(const Answer& answer) {
  std::string out;
  for (std::size_t c = 0; c < answer.columns.size(); ++c) {
    if (c > 0) out += ',';
    append_csv(out, answer.columns[c].name, false);
  }
  out += "\r\n";
  for (const auto& row : answer.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c > 0) out += ',';
      if (row[c]) append_csv(out, *row[c], answer.columns[c].number);
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace domicile::logindex
