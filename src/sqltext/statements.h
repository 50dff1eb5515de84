// Cuts SQL text into statements without parsing it, as psql does: a flat scan that knows quotes,
// dollar quotes, comments, parentheses and BEGIN ATOMIC bodies, takes memory for nothing but its
// result, and cannot fail: what is unterminated runs to the end of the text.
//
// Beyond SQL it knows what psql files hold: lines that begin with a backslash are commands to psql
// (reported, not part of any statement), and the lines after COPY ... FROM stdin up to \. are data.
// String literals are read with standard_conforming_strings on.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace domicile::sqltext {

struct Statement {
  std::string_view text;   // of the scanned text; begins with its first word, without the semicolon
  std::size_t line = 0;    // where it begins, from 1
  std::size_t tokens = 0;  // words, numbers, literals and single signs
  bool psql = false;       // a psql command: text is the whole line, such as "\i other.sql"
};

std::vector<Statement> split_statements(std::string_view text);

}  // namespace domicile::sqltext
