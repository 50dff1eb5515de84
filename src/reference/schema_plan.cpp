#include "reference/schema_plan.h"

#include <algorithm>

#include <fmt/format.h>

namespace domicile::reference {
namespace {

// Past a 'literal' with doubled quotes, or npos. A backslash is plain in it: E'' is not taken at all.
std::size_t past_literal(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '\'') return std::string_view::npos;
  for (++at; at < text.size(); ++at) {
    if (text[at] != '\'') continue;
    if (at + 1 < text.size() && text[at + 1] == '\'') {
      ++at;
      continue;
    }
    return at + 1;
  }
  return std::string_view::npos;
}

bool number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789.eE+-") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

// "::type", "::type(10,2)", "::type[]", again and again. A function's call has a parenthesis before
// any colon, so letters, digits and what type names hold are enough.
bool casts(std::string_view text) {
  while (!text.empty()) {
    if (!text.starts_with("::")) return false;
    text.remove_prefix(2);
    std::size_t end = std::min(text.find("::"), text.size());
    for (const char c : text.substr(0, end)) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!plain && std::string_view("_ .\"(),[]").find(c) == std::string_view::npos) return false;
    }
    if (end == 0) return false;
    text.remove_prefix(end);
  }
  return true;
}

std::string place_of(const QualifiedName& table, const std::string& column) {
  return fmt::format("{}, column {}", to_string(table), column);
}

class Planner {
 public:
  Planner(const TableShape& own, const TableShape& source, const TypeKnown& known, SchemaPlan& plan)
      : own_(own), source_(source), known_(known), plan_(plan) {}

  void run() {
    for (const ColumnShape& theirs : source_.columns) {
      if (theirs.generated) continue;  // it is computed on each side and never travels
      const ColumnShape* mine = own_.find(theirs.name);
      if (mine == nullptr) {
        add(theirs);
      } else {
        compare(*mine, theirs);
      }
    }
    for (const ColumnShape& mine : own_.columns) left_alone(mine);
  }

 private:
  void refuse(const std::string& column, std::string reason, std::string remedy) {
    plan_.refusals.push_back({.place = place_of(own_.name, column),
                              .reason = std::move(reason),
                              .remedy = std::move(remedy)});
  }

  std::string alter(const std::string& rest) const {
    return fmt::format("ALTER TABLE {} {}", quoted(own_.name), rest);
  }

  std::string add_column(const ColumnShape& column) const {
    return alter(fmt::format("ADD COLUMN {} {}", pg::quote_identifier(column.name), column.type));
  }

  // A person adds it, and the rows that are there get the master's values by a comparison.
  std::string by_hand(const ColumnShape& column) const {
    return fmt::format("{}; then domicile reference compare --table {} --repair{}",
                       add_column(column), to_string(own_.name),
                       column.not_null
                           ? "; then " + alter(fmt::format("ALTER COLUMN {} SET NOT NULL",
                                                           pg::quote_identifier(column.name)))
                           : "");
  }

  void add(const ColumnShape& column) {
    if (column.key)
      return refuse(column.name, "it is of the primary key in the master region and not here",
                    "run the migration that brought it there in this region, too");
    if (!column.identity.empty())
      return refuse(column.name, "it is an identity column, whose values would be others here",
                    by_hand(column) + "; and make it an identity as in the master region");
    if (!known_(column.type))
      return refuse(column.name, fmt::format("there is no type {} here", column.type),
                    "make the type as in the master region, and run this again");
    if (column.default_value && !constant_default(*column.default_value))
      return refuse(
          column.name,
          fmt::format("its default is {}: rows that are there would get other values than in the "
                      "master region",
                      *column.default_value),
          by_hand(column));
    if (column.not_null && !column.default_value)
      return refuse(column.name,
                    "it is NOT NULL and has no default, so rows that are there lack it",
                    by_hand(column));
    std::string sql = add_column(column);
    if (column.default_value) sql += " DEFAULT " + *column.default_value;
    if (column.not_null) sql += " NOT NULL";
    plan_.additions.push_back({.table = own_.name, .column = column.name, .sql = std::move(sql)});
  }

  void compare(const ColumnShape& mine, const ColumnShape& theirs) {
    const std::string name = pg::quote_identifier(mine.name);
    if (mine.generated)
      return refuse(mine.name, "it is generated here and not in the master region",
                    alter(fmt::format("ALTER COLUMN {} DROP EXPRESSION", name)));
    if (mine.type != theirs.type)
      return refuse(
          mine.name,
          fmt::format("it is {} here and {} in the master region", mine.type, theirs.type),
          alter(fmt::format("ALTER COLUMN {} TYPE {}", name, theirs.type)) +
              ", when every value fits, and look at who uses it");
    if (mine.key != theirs.key)
      return refuse(mine.name, "it is of the primary key on one side only",
                    "give both sides the same primary key");
    if (mine.not_null && !theirs.not_null)
      refuse(mine.name, "it is NOT NULL here and may be NULL in the master region",
             alter(fmt::format("ALTER COLUMN {} DROP NOT NULL", name)));
  }

  void left_alone(const ColumnShape& mine) {
    const ColumnShape* theirs = source_.find(mine.name);
    if (theirs != nullptr && theirs->generated && !mine.generated)
      return refuse(mine.name, "it is generated in the master region and a plain column here",
                    "make it generated here, too; its values do not travel");
    if (theirs == nullptr && !mine.generated && mine.not_null && !mine.default_value &&
        mine.identity.empty())
      refuse(mine.name, "it is NOT NULL here, has no default, and is not in the master region",
             fmt::format("add it in the master region, or {}",
                         alter(fmt::format("ALTER COLUMN {} DROP NOT NULL",
                                           pg::quote_identifier(mine.name)))));
  }

  const TableShape& own_;
  const TableShape& source_;
  const TypeKnown& known_;
  SchemaPlan& plan_;
};

}  // namespace

bool constant_default(std::string_view expression) {
  while (expression.starts_with('(') && expression.ends_with(')'))
    expression = expression.substr(1, expression.size() - 2);
  const std::size_t cast = expression.find("::");
  const std::string_view head = expression.substr(0, std::min(cast, expression.size()));
  if (head == "true" || head == "false" || head == "NULL" || number(head))
    return cast == std::string_view::npos || casts(expression.substr(cast));
  // ('-1'::integer) is how a negative number may be printed.
  if (expression.starts_with('(')) {
    const std::size_t close = expression.find(')');
    return close != std::string_view::npos && constant_default(expression.substr(0, close + 1)) &&
           casts(expression.substr(close + 1));
  }
  if (expression.starts_with("B'")) expression.remove_prefix(1);
  const std::size_t end = past_literal(expression, 0);
  return end != std::string_view::npos && casts(expression.substr(end));
}

SchemaPlan plan_schema(const TableShapes& own, const TableShapes& source, const TypeKnown& known) {
  SchemaPlan plan;
  for (const auto& [name, theirs] : source) {
    if (name.schema == "domicile") continue;
    const auto mine = own.find(name);
    if (mine == own.end()) {
      plan.refusals.push_back(
          {.place = to_string(name),
           .reason = "it is a reference table of the master region and none here",
           .remedy = "make the table by the application's migrations, give it the same class in "
                     "this region's catalog, and run domicile region init"});
      continue;
    }
    Planner(mine->second, theirs, known, plan).run();
  }
  return plan;
}

}  // namespace domicile::reference
