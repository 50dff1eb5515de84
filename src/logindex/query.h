// Asks the index one question and leaves word of it. The statement is a cursor's, in a read-only
// transaction, of a login that may do nothing but SELECT: COPY to a program, a second statement, a
// WITH that writes, all end in the server's refusal, and there is nothing outside the database that
// the login could reach. A login that may do more is refused before anything runs.
//
// The answer is given out only after the question was noted in the index (sql/index: asked), from
// where the node makes it an event of the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::logindex {

struct Ask {
  std::string sql;
  std::vector<pg::Param> parameters;
  std::string question;      // its name, "sql" for a statement of one's own
  std::string organization;  // whom it is about; may be empty
  std::string person;        // who asks
  std::size_t rows_most = 1'000;
  std::size_t bytes_most = 64u << 20;
  std::chrono::milliseconds time_most{60'000};
};

struct Column {
  std::string name;
  bool number = false;
};

struct Answer {
  std::vector<Column> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  bool more = false;                // a limit cut it off
  std::int64_t first_sequence = 0;  // of the columns that hold sequences; 0: none does
  std::int64_t last_sequence = 0;
};

// Code::denied: the login may do more than read. Code::timeout: it took longer than time_most.
Result<Answer> ask(const std::string& dsn, const Ask& question);

// For spreadsheets: a text that they would run as a formula gets an apostrophe in front.
std::string csv(const Answer& answer);

}  // namespace domicile::logindex
