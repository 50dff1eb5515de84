// What runs inside a statement: DO blocks, and functions of the same migrations that a later statement
// calls. Every static statement in them is judged as if it were reached; what EXECUTE puts together at
// run time is said and not judged, unless it is one constant text.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/migration_judge.h"
#include "sqltext/plpgsql.h"
#include "sqltext/statements.h"

namespace domicile::catalog {
namespace {

constexpr std::size_t kCallsDeepMax = 8;

using sqltext::Node;
using sqltext::PlpgsqlQuery;

std::string option(const Node& options, std::string_view name) {
  for (const Node& one : options.children) {
    if (one.str("defname") != name) continue;
    const auto& items = one["arg"]["items"].children;  // AS 'body' is a list
    if (!items.empty()) return std::string(items[0].string());
    return std::string(one["arg"].string());
  }
  return {};
}

// "x := 3" -> "SELECT 3"; other expressions as they are.
std::string as_query(const PlpgsqlQuery& part) {
  if (part.statement) return part.text;
  const auto assigned = part.text.find(":=");
  return "SELECT " + (assigned == std::string::npos ? part.text : part.text.substr(assigned + 2));
}

// The line on which a block's text begins, from the line of its statement.
std::size_t lines_before_body(std::string_view statement) {
  const auto quote = statement.find_first_of("$'");
  return quote == std::string_view::npos
             ? 0
             : static_cast<std::size_t>(
                   std::count(statement.begin(),
                              statement.begin() + static_cast<std::ptrdiff_t>(quote), '\n'));
}

void calls_in(const Node& node, std::set<std::string>& names) {
  if (node.is("FuncCall") || node.field == "funccall") {
    const auto& parts = node["funcname"].children;
    if (!parts.empty()) names.insert(std::string(parts.back().string()));
  }
  for (const Node& child : node.children) calls_in(child, names);
}

}  // namespace

// A DO block: true when it could be looked into.
bool MigrationJudge::block(std::string_view text, const Node& node) {
  const std::string language = option(node["args"], "language");
  if (!language.empty() && language != "plpgsql") return false;
  const auto parts = sqltext::plpgsql_parts(text);
  if (!parts) return false;
  const Place before = place_;
  place_.line += lines_before_body(text);
  body(*parts, true);
  place_ = before;
  return true;
}

void MigrationJudge::body(const std::vector<PlpgsqlQuery>& parts, bool lines) {
  const Place start = place_;
  for (const PlpgsqlQuery& part : parts) {
    if (lines && part.line > 0) place_.line = start.line + part.line - 1;
    if (part.dynamic) {
      dynamic(part.text);
    } else if (const auto tree = sqltext::parse_statement(as_query(part))) {
      judge_tree(tree->statement);
    }
  }
  place_ = start;
}

void MigrationJudge::dynamic(const std::string& expression) {
  const auto tree = sqltext::parse_statement("SELECT " + expression);
  const auto& targets = tree ? tree->statement["targetList"].children : Node{}.children;
  const auto constant = targets.size() == 1 && targets[0]["val"].is("A_Const")
                            ? targets[0]["val"].string()
                            : std::string_view();
  if (!constant.empty()) {
    for (const auto& one : sqltext::split_statements(constant)) {
      if (const auto inner = sqltext::parse_statement(one.text)) judge_tree(inner->statement);
    }
    return;
  }
  advise(Severity::warning, "not_followed", "",
         "EXECUTE puts its statement together when it runs: it cannot be judged before",
         "write the statement out, or try it against a test region");
}

void MigrationJudge::judge_tree(const Node& node) {
  reads(node);
  dispatch(node);
  called(node);
}

// Keeps what a function does until something calls it.
void MigrationJudge::remember(std::string_view text, const Node& node) {
  const auto& name = node["funcname"].children;
  if (name.empty()) return;
  const std::string language = option(node["options"], "language");
  std::vector<PlpgsqlQuery> parts;
  if (language == "plpgsql") {
    auto read = sqltext::plpgsql_parts(text);
    if (!read) return;
    parts = *std::move(read);
  } else if (language == "sql") {
    const std::string source = option(node["options"], "as");
    for (const auto& one : sqltext::split_statements(source))
      parts.push_back(
          {.text = std::string(one.text), .line = 0, .statement = true, .dynamic = false});
  }
  bodies_[std::string(name.back().string())] = std::move(parts);
}

// Functions that this statement calls and that the migrations have made: they run now.
void MigrationJudge::called(const Node& node) {
  static const std::set<std::string_view> at_once = {"SelectStmt",       "InsertStmt", "UpdateStmt",
                                                     "DeleteStmt",       "CallStmt",   "MergeStmt",
                                                     "CreateTableAsStmt"};
  if (!at_once.contains(node.type) || calling_.size() >= kCallsDeepMax) return;
  std::set<std::string> names;
  calls_in(node, names);
  for (const std::string& name : names) {
    const auto known = bodies_.find(name);
    if (known == bodies_.end() || std::ranges::find(calling_, name) != calling_.end()) continue;
    calling_.push_back(name);
    const auto parts = known->second;  // the function may replace itself
    body(parts, false);
    calling_.pop_back();
  }
}

}  // namespace domicile::catalog
