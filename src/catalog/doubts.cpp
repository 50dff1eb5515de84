#include "catalog/doubts.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

bool known_edge(const Graph& graph, std::size_t table, const std::string& column) {
  const auto has = [&](std::size_t e) {
    const auto& columns = graph.edges[e].step.columns;
    return std::ranges::find(columns, column) != columns.end();
  };
  return std::ranges::any_of(graph.out[table], has) || std::ranges::any_of(graph.self[table], has);
}

bool of_somebody(const Verdict& v) {
  return v.of_organization() || (v.done && v.table_class == TableClass::person);
}

// What a materialized view reads, through views.
std::vector<std::size_t> read_by(const Graph& graph, std::size_t table) {
  std::vector<std::size_t> out;
  for (const QualifiedName& name : graph.reads(table)) {
    if (const std::size_t at = graph.place(name); at != Graph::npos) out.push_back(at);
  }
  return out;
}

// Each organization names one of its rows: a country, or the organization in truth.
bool above_the_organizations(const Graph& graph, const Root& root, std::size_t table) {
  if (root.table == Graph::npos || lookup_weight(graph.tables[table]->name.name) >= 3) return false;
  const Index* key = graph.tables[table]->primary_key();
  const Column* column = key == nullptr || key->columns.size() != 1
                             ? nullptr
                             : graph.tables[table]->column(key->columns[0]);
  if (column != nullptr && column->type == "character") return false;  // a code
  return std::ranges::any_of(graph.out[root.table], [&](std::size_t e) {
    const Edge& edge = graph.edges[e];
    return edge.to == table && edge.not_null && !edge.actor;
  });
}

}  // namespace

bool waits_for_a_parent(const Graph& graph, std::size_t table,
                        const std::vector<Verdict>& verdicts) {
  return std::ranges::any_of(graph.out[table], [&](std::size_t e) {
    const Edge& edge = graph.edges[e];
    return edge.not_null && !edge.actor && !verdicts[edge.to].done;
  });
}

std::vector<std::string> unresolved_columns(const Graph& graph, const Root& root,
                                            std::size_t table) {
  const TableShape& shape = *graph.tables[table];
  const Index* key = shape.primary_key();
  std::vector<std::string> out;
  for (const Column& column : shape.columns) {
    const bool own = key != nullptr && key->columns.size() == 1 && key->columns[0] == column.name;
    if (own || !names_a_row(column, family_of(root.type))) continue;
    if (!known_edge(graph, table, column.name)) out.push_back(column.name);
  }
  return out;
}

std::size_t shadowed_by(const Graph& graph, std::size_t table) {
  const TableShape& shape = *graph.tables[table];
  const auto stem = shadowed_name(shape.name.name);
  if (!stem) return Graph::npos;
  for (std::size_t i = 0; i < graph.tables.size(); ++i) {
    if (i == table) continue;
    auto words = words_of(graph.tables[i]->name.name);
    if (words.empty()) continue;
    words.back() = singular(words.back());
    if (joined(words) != *stem) continue;
    std::size_t same = 0;
    for (const Column& column : graph.tables[i]->columns)
      same += shape.column(column.name) != nullptr;
    if (same >= 2 && same * 2 >= std::min(graph.tables[i]->columns.size(), shape.columns.size()))
      return i;
  }
  return Graph::npos;
}

std::vector<std::string> doubts_about(const Graph& graph, const Root& root, std::size_t table,
                                      const std::vector<Verdict>& verdicts) {
  const TableShape& shape = *graph.tables[table];
  std::vector<std::string> out;
  for (std::size_t e : graph.out[table]) {
    const Edge& edge = graph.edges[e];
    if (edge.not_null && !edge.actor && of_somebody(verdicts[edge.to]))
      out.push_back(
          fmt::format("each of its rows names one of {}", to_string(graph.tables[edge.to]->name)));
  }
  if (above_the_organizations(graph, root, table))
    out.push_back(
        "the organizations themselves belong to its rows, and its name is not that of a list");
  for (std::size_t read : read_by(graph, table)) {
    if (of_somebody(verdicts[read]) || verdicts[read].ask)
      out.push_back(fmt::format("it is made from {}", to_string(graph.tables[read]->name)));
  }
  if (const std::size_t of = shadowed_by(graph, table);
      of != Graph::npos && (!verdicts[of].done || of_somebody(verdicts[of]))) {
    out.push_back(fmt::format("it keeps former rows of {}", to_string(graph.tables[of]->name)));
  }
  for (const Column& column : shape.columns) {
    const bool usual = std::ranges::find(root.columns, column.name) != root.columns.end();
    if ((usual || mentions_organization(column.name)) &&
        family_of(column.type) != TypeFamily::other)
      out.push_back(fmt::format("its column {} speaks of an organization", column.name));
  }
  return out;
}

}  // namespace domicile::catalog
