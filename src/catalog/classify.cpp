#include "catalog/classify.h"

#include <algorithm>
#include <queue>
#include <set>

#include <fmt/format.h>

#include "catalog/classify_keys.h"
#include "catalog/classify_leftovers.h"
#include "catalog/classify_people.h"
#include "catalog/doubts.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

constexpr int kReferenceByName = 7;  // enough without looking at what hangs on the table

class Classifier {
 public:
  Classifier(const Graph& graph, const Root& root, const FactsByTable& facts,
             const Catalog* existing)
      : graph_(graph),
        root_(root),
        facts_(facts),
        existing_(existing),
        verdicts_(graph.tables.size()) {}

  std::vector<Verdict> run() {
    adopt_decisions();
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done) continue;
      if (auto why = migration_table(graph_.tables[i]->name.name))
        settle(i, TableClass::system, Confidence::certain, {*why});
    }
    users_ = find_users(graph_, root_, verdicts_);
    classify_by_keys(graph_, root_, facts_, users_, verdicts_);
    while (along_strong_edges() || people() || frameworks() || static_lists() ||
           along_person_edges(false) || machinery() || along_weak_edges(false) ||
           along_weak_edges(true) || along_person_edges(true)) {
    }
    classify_leftovers(graph_, root_, facts_, verdicts_);
    for (std::size_t i = 0; i < verdicts_.size(); ++i) other_ways(i);
    return std::move(verdicts_);
  }

 private:
  const Facts* facts_along_edge(std::size_t i, const Edge& edge) const {
    Way way = *verdicts_[edge.to].way;
    way.steps.insert(way.steps.begin(), edge.step);
    return facts_along(facts_, graph_.tables[i]->name, way);
  }

  bool settle(std::size_t i, TableClass table_class, Confidence confidence,
              std::vector<std::string> why) {
    Verdict& v = verdicts_[i];
    if (v.done) return false;
    v.done = true;
    v.table_class = table_class;
    v.confidence = confidence;
    for (std::string& reason : why) v.why.push_back(std::move(reason));
    return true;
  }

  void adopt_decisions() {
    if (existing_ == nullptr) return;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      const Table* table = existing_->find(graph_.tables[i]->name);
      if (table == nullptr || !table->decided_by_person()) continue;
      Verdict& v = verdicts_[i];
      settle(i, table->table_class, Confidence::certain, {});
      v.decided = true;
      v.person = table->person;
      if (!table->of_organization()) {
        v.person_path = table->path;
        continue;
      }
      if (!table->key.empty())
        v.way = Way{{}, table->key};
      else if (const Table* end =
                   table->path.empty() ? nullptr : existing_->find(table->path.back().references);
               end != nullptr) {
        v.way = Way{table->path, end->key};
        for (PathStep& step : v.way->steps) fill_columns(step);
        v.cost = static_cast<double>(table->path.size());
      }
    }
  }

  void fill_columns(PathStep& step) const {
    const std::size_t to = graph_.place(step.references);
    if (!step.referenced_columns.empty() || to == Graph::npos) return;
    if (const Index* key = graph_.tables[to]->primary_key(); key != nullptr)
      step.referenced_columns = key->columns;
  }

  double cost_of(const Edge& edge) const {
    double cost = 1.0;
    if (!edge.declared) cost += 0.5;
    if (!edge.validated) cost += 0.25;
    if (edge.cascade) cost -= 0.3;
    if (edge.identifying) cost -= 0.2;
    if (edge.role) cost += 0.8;
    if (verdicts_[edge.to].table_class == TableClass::mixed && verdicts_[edge.to].done) cost += 1.5;
    return cost;
  }

  // Dijkstra from the tables that know their organization, down to those that must have such a
  // parent.
  bool along_strong_edges() {
    using Item = std::tuple<double, std::size_t, std::size_t>;  // cost, table, edge that led here
    std::priority_queue<Item, std::vector<Item>, std::greater<>> open;
    const auto expand = [&](std::size_t parent) {
      for (std::size_t e : graph_.in[parent]) {
        const Edge& edge = graph_.edges[e];
        if (!verdicts_[edge.from].done && edge.not_null && !actor(edge)) {
          open.emplace(verdicts_[parent].cost + cost_of(edge), edge.from, e);
        }
      }
    };
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].of_organization() && verdicts_[i].way) expand(i);
    }
    bool found = false;
    while (!open.empty()) {
      const auto [cost, at, e] = open.top();
      open.pop();
      if (verdicts_[at].done) continue;
      found = true;
      hang_on(at, graph_.edges[e], cost);
      if (verdicts_[at].way) expand(at);
    }
    return found;
  }

  void hang_on(std::size_t at, const Edge& edge, double cost) {
    const Verdict& parent = verdicts_[edge.to];
    Verdict& v = verdicts_[at];
    Way way = *parent.way;
    way.steps.insert(way.steps.begin(), edge.step);
    Confidence confidence = parent.confidence == Confidence::certain && edge.declared
                                ? Confidence::certain
                                : Confidence::likely;
    std::vector<std::string> why = {
        fmt::format("{} {} {}, which is NOT NULL", fmt::join(edge.step.columns, ", "),
                    edge.declared            ? "references"
                    : edge.joined_in.empty() ? "is named after"
                                             : fmt::format("is joined by {} with", edge.joined_in),
                    to_string(edge.step.references))};
    TableClass table_class = TableClass::organization;
    if (parent.confidence == Confidence::unsure && edge.to != root_.table)
      confidence = Confidence::unsure;
    if (parent.table_class == TableClass::mixed)
      mixed_parent(at, edge, table_class, confidence, why);
    v.cost = cost;
    v.way = std::move(way);
    settle(at, table_class, confidence, std::move(why));
    confirm_by_rows(at, edge);
  }

  // A child of a shared row is shared, unless the rows say that only organizations have such
  // children.
  void mixed_parent(std::size_t at, const Edge& edge, TableClass& table_class,
                    Confidence& confidence, std::vector<std::string>& why) const {
    const Facts* facts = facts_along_edge(at, edge);
    const bool person = std::ranges::any_of(graph_.out[at], [&](std::size_t e) {
      const Verdict& other = verdicts_[graph_.edges[e].to];
      return graph_.edges[e].not_null && other.done && other.table_class == TableClass::person;
    });
    if (facts != nullptr && facts->sampled_rows > 0 && facts->null_keys == 0 &&
        facts->orphans == 0) {
      why.push_back(fmt::format("none of {} sampled rows belongs to a shared row of {}",
                                facts->sampled_rows, to_string(edge.step.references)));
      confidence = std::max(confidence, Confidence::likely);
    } else if (person) {
      why.push_back(
          "it is about a person, and its parent may be a shared row: it needs a key of its own");
      confidence = Confidence::unsure;
    } else {
      table_class = TableClass::mixed;
      why.push_back("its parent's row may be shared");
      confidence = std::max(confidence, Confidence::likely);
    }
  }

  void confirm_by_rows(std::size_t at, const Edge& edge) {
    const Facts* facts = facts_along_edge(at, edge);
    Verdict& v = verdicts_[at];
    if (facts == nullptr || facts->sampled_rows == 0) return;
    if (!edge.declared && facts->orphans == 0 && facts->sampled_rows >= 20 &&
        v.confidence == Confidence::likely &&
        verdicts_[edge.to].confidence == Confidence::certain &&
        v.table_class == TableClass::organization) {
      v.confidence = Confidence::certain;
      v.why.push_back(fmt::format("all of {} sampled rows find their parent", facts->sampled_rows));
    }
    if (facts->rows_of_two_organizations > 0) {
      v.confidence = std::max(v.confidence, Confidence::likely);
      v.why.push_back(fmt::format("but {} of {} sampled rows reach another organization through {}",
                                  facts->rows_of_two_organizations, facts->sampled_rows,
                                  facts->second_way));
    }
  }

  // Those who sign in, and no organization owns them.
  bool people() {
    bool found = false;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      const TableShape& table = *graph_.tables[i];
      if (verdicts_[i].done) continue;
      const bool credential = std::ranges::any_of(
          table.columns, [](const Column& c) { return personal_label(c, true) == "credential"; });
      if (i != users_ && !(credential && user_weight(table.name.name) >= 5)) continue;
      std::vector<std::string> why = {"it lists people, and no organization must be set"};
      const bool member = i == users_ && std::ranges::any_of(graph_.in[i], [&](std::size_t e) {
                            const Verdict& child = verdicts_[graph_.edges[e].from];
                            return child.of_organization() && child.way && child.way->steps.empty();
                          });
      if (member)
        why.push_back("tables of organizations point at it: a person may belong to several");
      if (verdicts_[i].ask && !member)
        why.push_back(fmt::format("but {} may name one", verdicts_[i].ask->key));
      const Index* key = table.primary_key();
      verdicts_[i].person = key != nullptr && key->columns.size() == 1 ? key->columns[0] : "";
      found |= settle(i, TableClass::person,
                      verdicts_[i].person.empty()                    ? Confidence::unsure
                      : member || (i == users_ && !verdicts_[i].ask) ? Confidence::likely
                                                                     : Confidence::unsure,
                      std::move(why));
    }
    return found;
  }

  // A framework's own lists look like reference data, but are not the application's to carry.
  bool frameworks() {
    bool found = false;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done) continue;
      if (auto why = framework_table(graph_.tables[i]->name.name)) {
        found |= settle(i, TableClass::system, Confidence::likely, {*why});
      }
    }
    return found;
  }

  // Before an optional link to somebody misleads: a cron entry may name a user.
  bool machinery() {
    bool found = false;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done || !doubts_about(graph_, root_, i, verdicts_).empty()) continue;
      if (auto why = solid_machinery(*graph_.tables[i]))
        found |= settle(i, TableClass::system, Confidence::likely, {*why});
    }
    return found;
  }

  // Lists that their name and shape give away, before a created_by or an optional link misleads.
  bool static_lists() {
    bool found = false;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done || lookup_weight(graph_.tables[i]->name.name) < 3 ||
          waits_for_a_parent(graph_, i, verdicts_))
        continue;
      ReferenceEvidence evidence = reference_evidence(graph_, root_, i, verdicts_, facts_);
      if (evidence.score < kReferenceByName) continue;
      found |=
          settle(i, TableClass::reference,
                 evidence.score >= kReferenceByName + 2 ? Confidence::certain : Confidence::likely,
                 std::move(evidence.why));
    }
    return found;
  }

  // Whoever signs in acts, whatever the column is called.
  bool actor(const Edge& edge) const { return edge.actor || (edge.role && edge.to == users_); }

  // At first only what has no other parent that may turn out to belong to an organization.
  bool along_person_edges(bool last) {
    bool found = false;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done) continue;
      for (std::size_t e : graph_.out[i]) {
        if (graph_.edges[e].not_null && !actor(graph_.edges[e]) && (last || !may_have_parent(i)) &&
            belong_to_person(i, graph_.edges[e])) {
          found = true;
          break;
        }
      }
    }
    return found;
  }

  bool belong_to_person(std::size_t i, const Edge& edge) {
    const Verdict& parent = verdicts_[edge.to];
    if (!parent.done || parent.table_class != TableClass::person) return false;
    if (parent.person.empty() && parent.person_path.empty()) return false;
    // A comment's author is a person, but the comment belongs to what it is about.
    if (!polymorphic_pairs(*graph_.tables[i]).empty()) return false;
    Verdict& v = verdicts_[i];
    const bool to_key = edge.step.columns.size() == 1 && parent.person_path.empty() &&
                        edge.step.referenced_columns[0] == parent.person;
    if (to_key) {
      v.person = edge.step.columns[0];
    } else {
      v.person_path = parent.person_path;
      v.person_path.insert(v.person_path.begin(), edge.step);
    }
    const bool plain = (edge.declared || graph_.declared_links < kDeclaredByHabit) && !edge.actor &&
                       parent.confidence != Confidence::unsure;
    return settle(i, TableClass::person, plain ? Confidence::likely : Confidence::unsure,
                  {fmt::format("{} names a person, and nothing names an organization",
                               fmt::join(edge.step.columns, ", "))});
  }

  bool may_have_parent(std::size_t i) const {
    return std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      if (actor(edge)) return false;
      return parent.done ? parent.of_organization() && parent.way.has_value() : edge.not_null;
    });
  }

  // Optional parents (weak), then those who acted (weaker still).
  bool along_weak_edges(bool actors) {
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (verdicts_[i].done || (actors && lookup_weight(graph_.tables[i]->name.name) >= 3))
        continue;
      const Edge* best = nullptr;
      std::size_t ways = 0;
      for (std::size_t e : graph_.out[i]) {
        const Edge& edge = graph_.edges[e];
        if (actor(edge) != actors || (actors && !edge.not_null)) continue;
        if (actors && belong_to_person(i, edge)) return true;
        if (!verdicts_[edge.to].of_organization() || !verdicts_[edge.to].way) continue;
        ++ways;
        if (best == nullptr || verdicts_[edge.to].cost < verdicts_[best->to].cost) best = &edge;
      }
      if (best == nullptr) continue;
      if (!actors &&
          reference_evidence(graph_, root_, i, verdicts_, facts_).score >= kReferenceByName)
        continue;
      hang_loosely(i, *best, ways);
      return true;
    }
    return false;
  }

  void hang_loosely(std::size_t i, const Edge& edge, std::size_t ways) {
    Verdict& v = verdicts_[i];
    v.way = *verdicts_[edge.to].way;
    v.way->steps.insert(v.way->steps.begin(), edge.step);
    v.cost = verdicts_[edge.to].cost + 6;
    const std::string columns = fmt::format("{}", fmt::join(edge.step.columns, ", "));
    const Facts* facts = facts_along_edge(i, edge);
    const bool filled =
        facts != nullptr && facts->sampled_rows > 0 && facts->null_keys == 0 && facts->orphans == 0;
    std::vector<std::string> why;
    if (edge.actor) {
      why.push_back(
          fmt::format("only {} leads to an organization: it says who acted or what is current, "
                      "which need not be where the row belongs",
                      columns));
    } else {
      why.push_back(fmt::format("only {} leads to an organization, and it may be NULL{}", columns,
                                ways > 1 ? fmt::format("; so may {} other ways", ways - 1) : ""));
    }
    if (filled)
      why.push_back(fmt::format("none of {} sampled rows is without it", facts->sampled_rows));
    else if (facts != nullptr && facts->sampled_rows > 0)
      why.push_back(fmt::format("{} of {} sampled rows are without it", facts->null_keys,
                                facts->sampled_rows));
    const bool sure_parent = verdicts_[edge.to].confidence != Confidence::unsure;
    const bool empty_seen = facts != nullptr && facts->sampled_rows > 0;
    const bool by_habit = !edge.actor && edge.declared && !empty_seen &&
                          graph_.optional_links >= kOptionalByHabit &&
                          verdicts_[edge.to].table_class == TableClass::organization;
    if (by_habit)
      why.push_back(fmt::format("{:.0f} % of this schema's links may be NULL: it is a habit here",
                                100 * graph_.optional_links));
    settle(
        i, TableClass::organization,
        (filled || edge.actor || by_habit) && sure_parent ? Confidence::likely : Confidence::unsure,
        std::move(why));
  }

  // The further ways to an organization, to be compared with the proposed one.
  void other_ways(std::size_t i) {
    Verdict& v = verdicts_[i];
    if (!v.of_organization() || !v.way) return;
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      if (!parent.of_organization() || !parent.way || edge.to == root_.table) continue;
      if (!v.way->steps.empty() && v.way->steps[0] == edge.step) continue;
      if (std::ranges::any_of(parent.way->steps, [&](const PathStep& s) {
            return s.references == graph_.tables[i]->name;
          }))
        continue;
      Way way = *parent.way;
      way.steps.insert(way.steps.begin(), edge.step);
      v.others.push_back(std::move(way));
    }
    std::ranges::sort(v.others, {},
                      [](const Way& way) { return std::pair(way.steps.size(), to_string(way)); });
  }

  const Graph& graph_;
  const Root& root_;
  const FactsByTable& facts_;
  const Catalog* existing_;
  std::vector<Verdict> verdicts_;
  std::size_t users_ = Graph::npos;
};

}  // namespace

const Facts* facts_along(const FactsByTable& facts, const QualifiedName& table, const Way& way) {
  const auto at = facts.find(table);
  return at == facts.end() || at->second.way != to_string(way) ? nullptr : &at->second;
}

std::vector<Verdict> classify(const Graph& graph, const Root& root, const FactsByTable& facts,
                              const Catalog* existing) {
  return Classifier(graph, root, facts, existing).run();
}

}  // namespace domicile::catalog
