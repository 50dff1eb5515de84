#include "catalog/root.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/naming.h"
#include "catalog/root_candidates.h"

namespace domicile::catalog {
namespace {

constexpr double kRootEnough = 20;     // clearly the organizations
constexpr double kRootStandsOut = 28;  // without a telling name
constexpr double kRootPerhaps = 8;     // the best there is: proposed as a question

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph) {}

  // Names of the columns that point at the root, most frequent first.
  std::vector<std::string> key_columns(std::size_t root) const {
    std::map<std::string, int> counts;
    for (std::size_t e : graph_.in[root]) {
      const Edge& edge = graph_.edges[e];
      if (edge.step.columns.size() == 1 && !edge.actor) ++counts[edge.step.columns[0]];
    }
    return by_count(counts);
  }

  // Without a table of organizations: the column that most tables share and that is named like one.
  std::vector<std::string> shared_columns(std::string& type) const {
    std::map<std::string, int> counts;
    std::map<std::string, std::string> types;
    for (const TableShape* table : graph_.tables) {
      for (const Column& column : table->columns) {
        auto words = words_of(column.name);
        if (words.size() > 1 &&
            (words.back() == "id" || words.back() == "key" || words.back() == "slug" ||
             words.back() == "uuid" || words.back() == "code"))
          words.pop_back();
        if (words.size() != 1 || organization_weight(words[0]) < 5 ||
            family_of(column.type) == TypeFamily::other)
          continue;
        ++counts[column.name];
        types.emplace(column.name, column.type);
      }
    }
    auto names = by_count(counts);
    if (names.empty() || counts[names[0]] < 2 ||
        counts[names[0]] * 5 < static_cast<int>(graph_.tables.size()))
      return {};
    type = types[names[0]];
    names.resize(1);
    return names;
  }

 private:
  static std::vector<std::string> by_count(const std::map<std::string, int>& counts) {
    std::vector<std::pair<int, std::string>> sorted;
    for (const auto& [name, count] : counts) sorted.emplace_back(-count, name);
    std::ranges::sort(sorted);
    std::vector<std::string> names;
    for (auto& [count, name] : sorted) names.push_back(std::move(name));
    return names;
  }

  const Graph& graph_;
};

std::string type_of(const TableShape& table, const std::string& column) {
  const Column* found = table.column(column);
  return found == nullptr ? "" : found->type;
}

// The best candidate, or the one that an earlier scan has written down; the near ones are named.
void choose(const Graph& graph, const std::vector<RootCandidate>& candidates,
            const std::optional<QualifiedName>& before, Root& root) {
  const RootCandidate* best =
      candidates.empty() || candidates[0].score < kRootEnough ? nullptr : &candidates[0];
  for (const RootCandidate& candidate : candidates) {
    if (before && graph.tables[candidate.table]->name == *before) best = &candidate;
  }
  if (best == nullptr) return;
  root.table = best->table;
  root.why = best->why;
  root.confidence = best->score >= 45 ? Confidence::certain : Confidence::likely;
  for (const RootCandidate& candidate : candidates) {
    if (candidate.table != best->table && candidate.score >= 0.8 * best->score)
      root.others.push_back(candidate);
  }
  if (!root.others.empty()) root.confidence = Confidence::likely;
  // Without a telling name it must stand out by itself.
  if (organization_weight(graph.tables[root.table]->name.name) == 0)
    root.confidence = best->score >= kRootStandsOut && root.others.empty() ? Confidence::likely
                                                                           : Confidence::unsure;
}

}  // namespace

Root find_root(const Graph& graph, const std::optional<QualifiedName>& decided, bool firm,
               const std::string& decided_column) {
  const Finder finder(graph);
  Root root;
  if (decided && graph.place(*decided) != Graph::npos && firm) {
    root.table = graph.place(*decided);
    root.confidence = Confidence::certain;
    root.why = {"it was named as the root"};
  } else if (decided_column.empty()) {
    choose(graph, root_candidates(graph), decided, root);
    // A root that only a person could have written into the file.
    if (decided && graph.place(*decided) != Graph::npos && root.table != graph.place(*decided)) {
      root = Root{};
      root.table = graph.place(*decided);
      root.confidence = Confidence::certain;
      root.why = {"it was named as the root"};
    }
  }
  if (root.table != Graph::npos) {
    const TableShape& table = *graph.tables[root.table];
    const Index* key = table.primary_key();
    root.key = key != nullptr && !key->columns.empty() ? key->columns[0] : "";
    // Foreign keys may name a unique column instead of the primary key: a slug as the key.
    for (std::size_t e : graph.in[root.table]) {
      const Edge& edge = graph.edges[e];
      if (edge.declared && edge.step.columns.size() == 1 && !edge.actor) {
        root.key = edge.step.referenced_columns[0];
        break;
      }
    }
    root.columns = finder.key_columns(root.table);
    root.type = type_of(table, root.key);
    return root;
  }
  if (!decided_column.empty()) {
    root.columns = {decided_column};
    for (const TableShape* table : graph.tables) {
      if (root.type.empty()) root.type = type_of(*table, decided_column);
    }
    root.confidence = Confidence::certain;
    return root;
  }
  root.columns = finder.shared_columns(root.type);
  root.confidence = Confidence::likely;
  if (!root.found() && !decided) {
    const auto candidates = root_candidates(graph);
    if (!candidates.empty() && candidates[0].score >= kRootPerhaps) {
      Root perhaps = find_root(graph, graph.tables[candidates[0].table]->name, true, "");
      perhaps.confidence = Confidence::unsure;
      perhaps.why = candidates[0].why;
      perhaps.why.push_back("nothing else looks more like the table of the organizations");
      return perhaps;
    }
  }
  if (root.found()) {
    root.why = {fmt::format("no table lists the organizations; the column {} stands in most tables",
                            root.columns[0])};
  }
  return root;
}

}  // namespace domicile::catalog
