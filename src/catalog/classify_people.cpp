#include "catalog/classify_people.h"

#include <algorithm>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

// (organization, x) as a key: x belongs to several organizations. Returns the places of such x.
std::vector<std::size_t> members(const Graph& graph, const Root& root) {
  std::vector<std::size_t> out;
  if (root.table == Graph::npos) return out;
  for (std::size_t e : graph.in[root.table]) {
    const Edge& to_root = graph.edges[e];
    if (to_root.actor || !to_root.not_null) continue;
    const TableShape& join = *graph.tables[to_root.from];
    for (std::size_t other : graph.out[to_root.from]) {
      const Edge& edge = graph.edges[other];
      if (edge.actor || !edge.not_null || edge.to == root.table) continue;
      auto pair = to_root.step.columns;
      pair.insert(pair.end(), edge.step.columns.begin(), edge.step.columns.end());
      std::ranges::sort(pair);
      const bool keyed = std::ranges::any_of(join.indexes, [&](const Index& index) {
        auto columns = index.columns;
        std::ranges::sort(columns);
        return index.unique && index.complete && columns == pair;
      });
      if (keyed) out.push_back(edge.to);
    }
  }
  return out;
}

}  // namespace

std::size_t find_users(const Graph& graph, const Root& root, const std::vector<Verdict>& verdicts) {
  const auto shared = members(graph, root);
  std::size_t users = Graph::npos;
  double best = 0;
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    const TableShape& table = *graph.tables[i];
    if (i == root.table || (verdicts[i].done && verdicts[i].table_class != TableClass::person))
      continue;
    const bool signs_in = std::ranges::any_of(table.columns, [](const Column& c) {
      const auto label = personal_label(c, true);
      return label == "credential" || label == "email" || label == "online_id";
    });
    // A password beside what one signs in with, and several tables that name such rows.
    const bool credential = std::ranges::any_of(
        table.columns, [](const Column& c) { return personal_label(c, true) == "credential"; });
    const bool login = std::ranges::any_of(table.columns, [](const Column& c) {
      const auto label = personal_label(c, true);
      return label == "email" || label == "online_id";
    });
    const bool account = credential && login && graph.in[i].size() >= 2;
    const bool member = signs_in && std::ranges::find(shared, i) != shared.end();
    const int named = user_weight(table.name.name);
    if (!member && !account && (named < 4 || (!signs_in && named < 7))) continue;
    const double score = named + (signs_in ? 4 : 0) + (member ? 6 : 0) + (account ? 2 : 0) +
                         0.5 * static_cast<double>(graph.in[i].size());
    if (score > best) {
      best = score;
      users = i;
    }
  }
  return users;
}

}  // namespace domicile::catalog
