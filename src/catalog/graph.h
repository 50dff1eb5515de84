// The schema as a graph: tables, and edges from child to parent along foreign keys, declared or
// told by a column's name (`course_id` beside a table `courses`). Built once from a Schema and held
// by propose().
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "catalog/probe.h"
#include "catalog/schema.h"

namespace domicile::catalog {

struct Edge {
  std::size_t from = 0;  // places in Graph::tables
  std::size_t to = 0;
  PathStep step;  // with its referenced columns
  bool declared = true;
  std::string joined_in;  // not declared, but a view or function compares the columns: its name
  bool validated = true;
  bool not_null = false;     // all of its columns
  bool actor = false;        // created_by and the like: never where the row belongs
  bool role = false;         // owner_id of a table that is not of those who sign in: perhaps
  bool cascade = false;      // ON DELETE CASCADE: the child lives and dies with the parent
  bool identifying = false;  // its columns are part of the child's primary key
  bool unique = false;       // at most one child per parent
};

constexpr double kOptionalByHabit = 0.45;  // of Graph::optional_links
constexpr double kDeclaredByHabit = 0.2;   // of Graph::declared_links

struct Graph {
  std::vector<const TableShape*> tables;
  std::vector<Edge> edges;
  std::vector<std::vector<std::size_t>>
      out;  // by table: its edges to parents, self-references left out
  std::vector<std::vector<std::size_t>> in;
  std::vector<std::vector<std::size_t>> self;
  std::map<QualifiedName, std::size_t> places;

  const Schema* schema = nullptr;
  // The share of links that may be NULL, of those that do not say who acted: where hardly anything is
  // NOT NULL (Hibernate, Odoo), a link that may be NULL says as much as one that may not elsewhere.
  double optional_links = 0;
  // The share of links that are foreign keys: where hardly anybody declared one, that one is not
  // declared says nothing.
  double declared_links = 1;

  std::size_t place(const QualifiedName& name) const;  // npos when absent
  // The tables that a materialized view is made from, through views; empty for others.
  std::vector<QualifiedName> reads(std::size_t table) const;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

// `refuted` are inferred edges that the rows spoke against, as (table, column).
Graph build_graph(const Schema& schema,
                  const std::vector<std::pair<QualifiedName, std::string>>& refuted);

// The step as the catalog writes it: referenced columns are left out when they are the primary key.
PathStep catalog_step(const Graph& graph, const PathStep& step);

}  // namespace domicile::catalog
