// What a database error of the guard means. Reads what people paste: psql's output, a driver's
// exception, a line of the server's log; never believes more of it than words it knows.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace domicile::app {

struct ExplainedSql {
  std::string_view sqlstate;
  std::string_view constraint;  // by its name, where the message alone does not say
  std::string_view part;        // of the message
  std::string_view code;        // as in the integrations' exceptions
  std::string_view meaning;
  std::string_view remedy;
};
std::span<const ExplainedSql> explained_sql();

struct SqlError {
  std::string sqlstate;  // "" when the text has none
  const ExplainedSql* known = nullptr;
};
// At most the first 64 KiB are read.
SqlError explain_sql(std::string_view text);

}  // namespace domicile::app
