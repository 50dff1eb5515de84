// One SQL statement as PostgreSQL's own grammar reads it (libpg_query, PostgreSQL 15), as a plain
// tree. Newer syntax than the grammar's is an error, never a guess.
//
// Limits stand before the parser, which has none: kStatementBytesMax and kTokensMax (counted by the
// flat split_statements()). Trees deeper than kDepthMax are cut off there, and Tree::cut says so:
// what is asked of a tree must then be answered "not known". Work happens on a large stack.
//
// Errors: Code::invalid, reason "sql_syntax" or "sql_too_long"; the message is the parser's, for
// people, without the statement's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::sqltext {

constexpr std::size_t kStatementBytesMax = 4u << 20;
constexpr std::size_t kTokensMax = 200'000;
constexpr std::size_t kDepthMax = 400;

// A node of the tree: a struct of PostgreSQL's parse nodes with fields, a list, or a scalar. Fields
// that are zero, false, NULL or empty are not there. Locations are left out.
struct Node {
  enum class Kind : std::uint8_t { scalar, list, object };
  Kind kind = Kind::scalar;
  std::string field;           // in its parent; "" in a list
  std::string type;            // "CreateStmt"; "" where the field implies it
  std::string text;            // scalars: "true", "27", "AT_AddColumn"
  std::vector<Node> children;  // fields, or elements

  // Never fail: what is not there is an empty node.
  const Node& operator[](std::string_view name) const;
  bool has(std::string_view name) const;
  std::string_view str(std::string_view name) const { return (*this)[name].text; }
  bool flag(std::string_view name) const { return (*this)[name].text == "true"; }
  bool is(std::string_view wanted) const { return type == wanted; }
  // The text of a String node, or of a constant; "" when it is neither.
  std::string_view string() const;
};

struct Tree {
  Node statement;    // its type is the statement's: "AlterTableStmt"
  bool cut = false;  // somewhere deeper than kDepthMax
};

Result<Tree> parse_statement(std::string_view text);

// 16 hex digits that are equal for statements that differ only in constants, letter case, white
// space and comments. For reports that must not hold what people wrote into their statements.
Result<std::string> fingerprint(std::string_view text);

}  // namespace domicile::sqltext
