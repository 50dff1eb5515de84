#include "catalog/graph.h"

#include <algorithm>
#include <set>

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
      by_noun_[head_noun(graph_.tables[i]->name.name)].push_back(i);
      if (user_weight(graph_.tables[i]->name.name) >= 7) users_.push_back(i);
      const Index* key = graph_.tables[i]->primary_key();
      if (key != nullptr && key->columns.size() == 1 && telling(key->columns[0]))
        by_key_[key->columns[0]].push_back(i);
    }
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) declared(i);
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) inherited(i);
    for (std::size_t i = 0; i < graph_.tables.size(); ++i) inferred(i);
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

  void inferred(std::size_t from) {
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
      const std::size_t to = target_of(from, column);
      if (to == Graph::npos) continue;
      add(from, to, {{column.name}, {}, graph_.tables[to]->primary_key()->columns}, false, true,
          false);
    }
  }

  bool fits(std::size_t to, const Column& column) const {
    const Index* key = graph_.tables[to]->primary_key();
    if (key == nullptr || key->columns.size() != 1) return false;
    const Column* target = graph_.tables[to]->column(key->columns[0]);
    return target != nullptr && comparable(target->type, column.type);
  }

  // A name that says of itself what it identifies: cust_no, CompanyID; not id or code.
  static bool telling(std::string_view column) {
    static const std::set<std::string_view> kIdentifier = {
        "id", "uuid", "key", "no", "nr", "cd", "code", "number", "ref", "num", "guid"};
    const auto words = words_of(column);
    if (words.size() < 2) return !words.empty() && words[0].size() > 4 && words[0].ends_with("id");
    return kIdentifier.contains(words.back());
  }

  // The table whose primary key has the same name, as in `svc_job.cust_no` and `customer.cust_no`.
  std::size_t same_key(std::size_t from, const Column& column) const {
    const auto at = by_key_.find(column.name);
    if (at == by_key_.end()) return Graph::npos;
    std::vector<std::size_t> found;
    for (std::size_t to : at->second) {
      // A table whose own key is itself another table's is no list of its own.
      const auto& keys = graph_.tables[to]->foreign_keys;
      const bool borrowed = std::ranges::any_of(
          keys, [&](const ForeignKey& key) { return key.columns == std::vector{column.name}; });
      if (to != from && !borrowed && fits(to, column)) found.push_back(to);
    }
    if (found.size() > 1) {
      std::erase_if(found, [&](std::size_t to) {
        return !words_of(column.name).empty() &&
               !head_noun(graph_.tables[to]->name.name).starts_with(words_of(column.name)[0]);
      });
    }
    // Its own key by name: `customer.cust_no` is not another table's.
    const Index* key = graph_.tables[from]->primary_key();
    const bool own = key != nullptr && key->columns == std::vector{column.name} &&
                     head_noun(graph_.tables[from]->name.name)
                         .starts_with(words_of(column.name).front().substr(0, 3));
    return found.size() == 1 && !own ? found[0] : Graph::npos;
  }

  // `teamid` beside teams, `categoryid` beside sidebarcategories.
  std::size_t run_together(std::size_t from, const Column& column) const {
    const auto words = words_of(column.name);
    if (words.size() != 1) return Graph::npos;
    std::string stem = words[0];
    for (std::string_view end : {"uuid", "id"}) {
      if (!stem.ends_with(end) || stem.size() < end.size() + 3) continue;
      stem.resize(stem.size() - end.size());
      std::vector<std::size_t> whole;
      std::vector<std::size_t> part;
      for (std::size_t to = 0; to < graph_.tables.size(); ++to) {
        if (to == from || !fits(to, column)) continue;
        auto name = words_of(graph_.tables[to]->name.name);
        if (name.empty()) continue;
        name.back() = singular(name.back());
        std::string squashed;
        for (const std::string& word : name) squashed += word;
        if (squashed == stem)
          whole.push_back(to);
        else if (stem.size() >= 4 && squashed.ends_with(stem))
          part.push_back(to);
      }
      if (whole.size() == 1) return whole[0];
      if (whole.empty() && part.size() == 1) return part[0];
      if (whole.empty() && names_an_actor(stem + "_id")) return only_user(column);
      return Graph::npos;
    }
    return Graph::npos;
  }

  // The one table that the column's name means, if there is exactly one.
  std::size_t target_of(std::size_t from, const Column& column) const {
    static const std::set<std::string_view> kSuffixes = {"id", "uuid", "key", "guid", "no", "nr",
                                                         "cd", "code", "ref", "fk",   "uid"};
    if (const std::size_t same = same_key(from, column); same != Graph::npos) return same;
    auto words = words_of(column.name);
    const bool suffixed = words.size() > 1 && kSuffixes.contains(words.back());
    const bool by = words.size() == 2 && words.back() == "by";
    if (by || (suffixed && names_an_actor(column.name))) {
      if (const std::size_t user = only_user(column); user != Graph::npos) return user;
    }
    if (!suffixed) {
      const std::size_t together = run_together(from, column);
      if (together != Graph::npos) return together;
      // A bare `customer uuid`; a text column of that name is more often a name.
      if (words.empty() || family_of(column.type) == TypeFamily::text) return Graph::npos;
    } else {
      words.pop_back();
    }
    if (words == std::vector<std::string>{"parent"}) return fits(from, column) ? from : Graph::npos;
    const std::size_t to = named_after(from, column, words, suffixed);
    // country_code names a table whose key is a code; line_no is no row of lines (id).
    static const std::set<std::string_view> kNatural = {"no", "nr", "cd", "code", "ref"};
    const std::string suffix = words_of(column.name).back();
    const bool natural = to != Graph::npos && kNatural.contains(suffix) &&
                         words_of(graph_.tables[to]->primary_key()->columns[0]).back() != suffix;
    return natural ? Graph::npos : to;
  }

  // Longest match first: `order_item_id` means order_items before it means items.
  std::size_t named_after(std::size_t from, const Column& column,
                          const std::vector<std::string>& words, bool suffixed) const {
    for (std::size_t skip = 0; skip < words.size(); ++skip) {
      if (skip > 0 && (words.size() - skip > 1 || !suffixed)) continue;
      const std::string stem = joined(words, skip);
      std::vector<std::size_t> found;
      const auto candidates = by_noun_.find(singular(words.back()));
      if (candidates == by_noun_.end()) return Graph::npos;
      for (std::size_t to : candidates->second) {
        if (named(graph_.tables[to]->name.name, stem, true) && fits(to, column))
          found.push_back(to);
      }
      if (found.empty() && skip == 0) {
        for (std::size_t to : candidates->second) {
          if (named(graph_.tables[to]->name.name, stem, false) && fits(to, column))
            found.push_back(to);
        }
      }
      same_schema_first(from, found);
      if (found.size() == 1) return found[0];
      if (!found.empty()) return Graph::npos;
    }
    return Graph::npos;
  }

  // Whole: "courses" for "course". Otherwise also with a framework's prefix: "core_course".
  static bool named(std::string_view table, const std::string& stem, bool whole) {
    auto words = words_of(table);
    if (words.empty()) return false;
    words.back() = singular(words.back());
    const std::string name = joined(words);
    return name == stem || (!whole && name.ends_with("_" + stem));
  }

  void same_schema_first(std::size_t from, std::vector<std::size_t>& found) const {
    const std::string& schema = graph_.tables[from]->name.schema;
    std::vector<std::size_t> near;
    for (std::size_t to : found) {
      if (graph_.tables[to]->name.schema == schema) near.push_back(to);
    }
    if (!near.empty()) found = std::move(near);
  }

  std::size_t only_user(const Column& column) const {
    std::vector<std::size_t> found;
    for (std::size_t to : users_) {
      if (fits(to, column)) found.push_back(to);
    }
    return found.size() == 1 ? found[0] : Graph::npos;
  }

  const Schema& schema_;
  const std::vector<std::pair<QualifiedName, std::string>>& refuted_;
  Graph graph_;
  std::map<std::string, std::vector<std::size_t>> by_noun_;
  std::map<std::string, std::vector<std::size_t>> by_key_;  // by a telling name of the primary key
  std::vector<std::size_t> users_;
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
