// The SQL inside PL/pgSQL: of a function's CREATE statement or a DO block, the queries and expressions
// that stand in it, in order, as libpg_query's own PL/pgSQL parser (PostgreSQL 15) finds them. What
// EXECUTE builds at run time is not among them; the expression that builds it is, marked dynamic.
//
// Limits and errors as in parse.h; Code::invalid too when the text is neither, or in another language.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::sqltext {

struct PlpgsqlQuery {
  std::string text;        // "SELECT 1", or an expression: "a = b", "x := 3"
  std::size_t line = 0;    // within the block, from 1; 0 when the parser does not say
  bool statement = false;  // stands as a statement of its own, not as an expression
  bool dynamic = false;    // the expression of an EXECUTE: its value is the statement
};

Result<std::vector<PlpgsqlQuery>> plpgsql_parts(std::string_view text);
// Their texts alone, without those of EXECUTE.
Result<std::vector<std::string>> plpgsql_queries(std::string_view text);

}  // namespace domicile::sqltext
