#include "catalog/graph.h"

#include <algorithm>
#include <set>

#include "catalog/column_targets.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

bool all_not_null(const TableShape& table, const std::vector<std::string>& columns) {
  return std::ranges::all_of(columns, [&](const std::string& name) {
    const Column* column = table.column(name);
    return column != nullptr && column->not_null;
  });
}

class Builder {
 public:
  Builder(const Schema& schema, const std::vector<std::pair<QualifiedName, std::string>>& refuted)
      : schema_(schema), refuted_(refuted) {}

  Graph run() {
    graph_.schema = &schema_;
    graph_.tables = schema_.classifiable();
    graph_.out.resize(graph_.tables.size());
    graph_.in.resize(graph_.tables.size());
    graph_.self.resize(graph_.tables.size());
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) {
      graph_.places[graph_.tables[i]->name] = i;
    }
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) declared(i);
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) inherited(i);
    const ColumnTargets targets(graph_.tables);
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) {
      inferred(i, targets);
      inferred_composite(i, targets);
    }
    const auto links = std::ranges::count_if(graph_.edges, [](const Edge& e) { return !e.actor; });
    const auto optional =
        std::ranges::count_if(graph_.edges, [](const Edge& e) { return !e.actor && !e.not_null; });
    const auto keys = std::ranges::count_if(graph_.edges, [](const Edge& e) { return e.declared; });
    if (!graph_.edges.empty())
      graph_.declared_links = static_cast<double>(keys) / static_cast<double>(graph_.edges.size());
    if (links > 0)
      graph_.optional_links = static_cast<double>(optional) / static_cast<double>(links);
    return std::move(graph_);
  }

 private:
  // A foreign key may name a partition; the class is its root's.
  std::size_t place(const QualifiedName& name) const {
    const TableShape* table = schema_.find(name);
    if (table != nullptr && table->relation == Relation::partition)
      return graph_.place(table->parent);
    return graph_.place(name);
  }

  void add(std::size_t from, std::size_t to, PathStep step, bool is_declared, bool validated,
           bool cascade) {
    const TableShape& child = *graph_.tables[from];
    Edge edge{.from = from,
              .to = to,
              .step = std::move(step),
              .declared = is_declared,
              .validated = validated,
              .cascade = cascade};
    edge.step.references = graph_.tables[to]->name;
    edge.not_null = all_not_null(child, edge.step.columns);
    acts(edge);
    if (const Index* key = child.primary_key(); key != nullptr) {
      edge.identifying = std::ranges::all_of(edge.step.columns, [&](const std::string& column) {
        return std::ranges::find(key->columns, column) != key->columns.end();
      });
    }
    edge.unique = std::ranges::any_of(child.indexes, [&](const Index& index) {
      return index.unique && !index.partial && index.complete && index.columns == edge.step.columns;
    });
    auto& list = from == to ? graph_.self[from] : graph_.out[from];
    list.push_back(graph_.edges.size());
    if (from != to) graph_.in[to].push_back(graph_.edges.size());
    graph_.edges.push_back(std::move(edge));
  }

  // `owner_id` says who acted when it names someone who signs in; beside `owners` or `parties` it is
  // as good a parent as any.
  void acts(Edge& edge) const {
    if (edge.step.columns.size() != 1) return;
    const std::string& column = edge.step.columns[0];
    if (names_a_pointer(column)) edge.actor = true;
    if (edge.actor || !names_an_actor(column)) return;
    const auto words = words_of(column);
    (names_a_deed(words) || signs_in(edge.to) ? edge.actor : edge.role) = true;
  }

  bool signs_in(std::size_t at) const {
    const TableShape& table = *graph_.tables[at];
    return user_weight(table.name.name) >= 7 ||
           std::ranges::any_of(table.columns, [](const Column& column) {
             return personal_label(column, false) == "credential";
           });
  }

  void declared(std::size_t from) {
    for (const ForeignKey& key : graph_.tables[from]->foreign_keys) {
      const std::size_t to = place(key.references);
      if (to == Graph::npos) continue;
      add(from, to, {key.columns, key.references, key.referenced_columns}, true, key.validated,
          key.on_delete == 'c');
    }
  }

  // Columns are inherited, foreign keys are not: the child table means the same by them.
  void inherited(std::size_t from) {
    const TableShape& child = *graph_.tables[from];
    const TableShape* parent = schema_.find(child.parent);
    if (parent == nullptr || child.relation == Relation::partition) return;
    for (const ForeignKey& key : parent->foreign_keys) {
      const std::size_t to = place(key.references);
      if (to == Graph::npos || has_edge(from, key.columns)) continue;
      add(from, to, {key.columns, key.references, key.referenced_columns}, false, true, false);
    }
  }

  bool has_edge(std::size_t from, const std::vector<std::string>& columns) const {
    const auto same = [&](std::size_t edge) { return graph_.edges[edge].step.columns == columns; };
    return std::ranges::any_of(graph_.out[from], same) ||
           std::ranges::any_of(graph_.self[from], same);
  }

  void inferred(std::size_t from, const ColumnTargets& targets) {
    const TableShape& table = *graph_.tables[from];
    std::set<std::string> paired;
    for (const auto& [type, id] : polymorphic_pairs(table)) paired.insert(id);
    for (const ForeignKey& key : table.foreign_keys)
      paired.insert(key.columns.begin(), key.columns.end());
    for (const Column& column : table.columns) {
      if (paired.contains(column.name) || has_edge(from, {column.name})) continue;
      if (const Index* key = table.primary_key();
          key != nullptr && key->columns == std::vector{column.name} && column.has_default) {
        continue;  // its own identifier
      }
      if (std::ranges::find(refuted_, std::pair(table.name, column.name)) != refuted_.end())
        continue;
      if (joined(from, column)) continue;
      std::size_t to = half_of_a_join(table, column);
      if (to == Graph::npos) to = targets.target_of(from, column);
      if (to == Graph::npos) continue;
      add(from, to, {{column.name}, {}, graph_.tables[to]->primary_key()->columns}, false, true,
          false);
    }
  }

  // A view or a function compares the column with the key of one other table. Two keys are compared for
  // many reasons, and what is compared with the keys of two tables names neither for sure.
  bool joined(std::size_t from, const Column& column) {
    const TableShape& table = *graph_.tables[from];
    std::size_t to = Graph::npos;
    const JoinSeen* seen = nullptr;
    const JoinSeen first{
        .table = table.name, .column = column.name, .other = {}, .other_column = {}, .where = {}};
    for (auto at = std::ranges::lower_bound(schema_.joins, first);
         at != schema_.joins.end() && at->table == table.name && at->column == column.name; ++at) {
      const std::size_t other = graph_.place(at->other);
      const Index* key = other == Graph::npos ? nullptr : graph_.tables[other]->primary_key();
      if (key == nullptr || key->columns != std::vector{at->other_column}) continue;
      if (to != Graph::npos && to != other) return false;
      to = other;
      if (seen == nullptr) seen = &*at;
    }
    const Index* mine = table.primary_key();
    if (seen == nullptr || (mine != nullptr && mine->columns == std::vector{column.name}))
      return false;
    add(from, to, {{column.name}, {}, {seen->other_column}}, false, true, false);
    graph_.edges.back().joined_in = seen->where;
    return true;
  }

  void inferred_composite(std::size_t from, const ColumnTargets& targets) {
    for (auto& [to, columns] : targets.composite_targets(from)) {
      const bool known =
          std::ranges::any_of(graph_.tables[from]->foreign_keys, [&](const ForeignKey& key) {
            return std::ranges::find_first_of(key.columns, columns) != key.columns.end();
          });
      if (!known) add(from, to, {columns, {}, columns}, false, true, false);
    }
  }

  // Prisma's own join tables: _ClientToTag ("A", "B").
  std::size_t half_of_a_join(const TableShape& table, const Column& column) const {
    const std::string& name = table.name.name;
    const std::size_t middle = name.find("To");
    if (!name.starts_with('_') || middle == std::string::npos || table.columns.size() != 2 ||
        (column.name != "A" && column.name != "B"))
      return Graph::npos;
    std::string sides[] = {name.substr(1, middle - 1), name.substr(middle + 2)};
    // A is the one that comes first in the alphabet, whatever the table is called.
    if (sides[1] < sides[0]) std::swap(sides[0], sides[1]);
    const std::size_t to = graph_.place({table.name.schema, sides[column.name == "A" ? 0 : 1]});
    const Index* key = to == Graph::npos ? nullptr : graph_.tables[to]->primary_key();
    return key != nullptr && key->columns.size() == 1 ? to : Graph::npos;
  }

  const Schema& schema_;
  const std::vector<std::pair<QualifiedName, std::string>>& refuted_;
  Graph graph_;
};

}  // namespace

std::size_t Graph::place(const QualifiedName& name) const {
  const auto at = places.find(name);
  return at == places.end() ? npos : at->second;
}

std::vector<QualifiedName> Graph::reads(std::size_t table) const {
  std::vector<QualifiedName> found;
  std::set<QualifiedName> seen;
  std::vector<const TableShape*> open = {tables[table]};
  while (!open.empty()) {
    const TableShape* at = open.back();
    open.pop_back();
    for (const QualifiedName& name : at->reads) {
      if (!seen.insert(name).second) continue;
      const TableShape* source = schema->find(name);
      if (source != nullptr && source->relation == Relation::view)
        open.push_back(source);
      else
        found.push_back(
            source != nullptr && source->relation == Relation::partition ? source->parent : name);
    }
  }
  return found;
}

Graph build_graph(const Schema& schema,
                  const std::vector<std::pair<QualifiedName, std::string>>& refuted) {
  return Builder(schema, refuted).run();
}

PathStep catalog_step(const Graph& graph, const PathStep& step) {
  PathStep out = step;
  const std::size_t at = graph.place(step.references);
  const Index* key = at == Graph::npos ? nullptr : graph.tables[at]->primary_key();
  if (key != nullptr && key->columns == step.referenced_columns) out.referenced_columns.clear();
  return out;
}

std::string to_string(const Way& way) {
  std::string out;
  for (const PathStep& step : way.steps) out += to_string(step) + ", ";
  return out + way.key;
}

}  // namespace domicile::catalog
