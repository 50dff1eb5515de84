#include "catalog/joins.h"

#include <algorithm>
#include <map>
#include <set>

#include "sqltext/large_stack.h"
#include "sqltext/parse.h"
#include "sqltext/plpgsql.h"
#include "sqltext/statements.h"

namespace domicile::catalog {
namespace {

using sqltext::Node;

struct Place {
  const TableShape* table = nullptr;
  std::string column;
};

class Reader {
 public:
  explicit Reader(const Schema& schema) : schema_(schema) {
    for (const TableShape& table : schema_.tables) {
      if (!table.is_view()) by_name_[table.name.name].push_back(&table);
    }
  }

  void read(const SqlText& text) {
    where_ = text.where;
    // PL/pgSQL is no SQL, but made of it.
    const auto queries = sqltext::plpgsql_queries(text.text);
    for (const std::string& query : queries ? *queries : std::vector<std::string>{text.text}) {
      for (const auto& statement : sqltext::split_statements(query)) {
        auto tree = sqltext::parse_statement(statement.text);
        if (!tree) tree = sqltext::parse_statement("SELECT " + std::string(statement.text));
        if (tree) read(tree->statement);
      }
    }
  }

  std::vector<JoinSeen> found() const { return {found_.begin(), found_.end()}; }

 private:
  void read(const Node& node) {
    const bool level = node.is("SelectStmt") || node.is("UpdateStmt") || node.is("DeleteStmt") ||
                       node.is("MergeStmt");
    if (level) scopes_.emplace_back();
    if (level) {
      for (const char* from : {"fromClause", "usingClause", "relation", "sourceRelation"})
        collect(node[from]);
    }
    if (node.is("A_Expr")) compare(node);
    if (node.is("JoinExpr")) by_using(node);
    for (const Node& child : node.children) read(child);
    if (level) scopes_.pop_back();
  }

  using Scope = std::map<std::string, const TableShape*>;  // by alias; null: not a table of ours

  // The tables of a FROM clause, without those of its subqueries.
  void collect(const Node& node) {
    if (node.is("RangeSubselect") || node.is("RangeFunction")) {
      if (node.has("alias")) scopes_.back()[std::string(node["alias"].str("aliasname"))] = nullptr;
      return;
    }
    if (node.is("RangeVar") || (node.type.empty() && node.has("relname"))) {
      const std::string name(node.str("relname"));
      const std::string alias(node.has("alias") ? node["alias"].str("aliasname") : name);
      scopes_.back()[alias] = table(std::string(node.str("schemaname")), name);
      return;
    }
    if (node.is("JoinExpr")) {
      collect(node["larg"]);
      collect(node["rarg"]);
      return;
    }
    for (const Node& child : node.children) collect(child);
  }

  const TableShape* table(const std::string& schema, const std::string& name) const {
    if (!schema.empty()) {
      const TableShape* found = schema_.find({schema, name});
      return found == nullptr || found->is_view() ? nullptr : found;
    }
    const auto at = by_name_.find(name);
    return at == by_name_.end() || at->second.size() != 1 ? nullptr : at->second[0];
  }

  // The column that a reference means; innermost scope first.
  Place place(const Node& node) const {
    if (!node.is("ColumnRef")) return {};
    std::vector<std::string> parts;
    for (const Node& field : node["fields"].children) parts.emplace_back(field.string());
    if (parts.empty() || parts.size() > 3 || parts.back().empty()) return {};
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (parts.size() > 1) {
        const auto at = scope->find(parts[parts.size() - 2]);
        if (at == scope->end()) continue;
        const bool has = at->second != nullptr && at->second->column(parts.back()) != nullptr;
        return has ? Place{at->second, parts.back()} : Place{};
      }
      Place only;
      int known = 0;
      for (const auto& [alias, shape] : *scope) {
        if (shape == nullptr) return {};  // it may have a column of that name
        if (shape->column(parts[0]) == nullptr) continue;
        only = {shape, parts[0]};
        ++known;
      }
      if (known > 0) return known == 1 ? only : Place{};
    }
    return {};
  }

  void compare(const Node& node) {
    if (node.str("kind") != "AEXPR_OP" || node["name"].children.size() != 1 ||
        node["name"].children[0].string() != "=")
      return;
    add(place(node["lexpr"]), place(node["rexpr"]));
  }

  // Two plain tables on both sides; more of them could be meant otherwise.
  void by_using(const Node& node) {
    const Node& columns = node["usingClause"];
    if (columns.children.empty()) return;
    const auto side = [&](const Node& arg) {
      return arg.has("relname")
                 ? table(std::string(arg.str("schemaname")), std::string(arg.str("relname")))
                 : nullptr;
    };
    const TableShape* left = side(node["larg"]);
    const TableShape* right = side(node["rarg"]);
    if (left == nullptr || right == nullptr) return;
    for (const Node& column : columns.children) {
      const std::string name(column.string());
      if (left->column(name) != nullptr && right->column(name) != nullptr)
        add({left, name}, {right, name});
    }
  }

  void add(const Place& left, const Place& right) {
    if (left.table == nullptr || right.table == nullptr || left.table == right.table) return;
    found_.insert({left.table->name, left.column, right.table->name, right.column, where_});
    found_.insert({right.table->name, right.column, left.table->name, left.column, where_});
  }

  const Schema& schema_;
  std::string where_;
  std::set<JoinSeen> found_;
  std::map<std::string, std::vector<const TableShape*>> by_name_;
  std::vector<Scope> scopes_;
};

}  // namespace

std::vector<JoinSeen> joins_in(const std::vector<SqlText>& texts, const Schema& schema) {
  Reader reader(schema);
  sqltext::on_large_stack([&] {  // trees of hostile text are deep
    for (const SqlText& text : texts) reader.read(text);
  });
  return reader.found();
}

}  // namespace domicile::catalog
