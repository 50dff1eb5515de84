#include "catalog/classify_leftovers.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/doubts.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

constexpr int kReferenceLikely = 5;
constexpr int kReferenceCertain = 10;

class Leftovers {
 public:
  Leftovers(const Graph& graph, const Root& root, const FactsByTable& facts,
            std::vector<Verdict>& verdicts)
      : graph_(graph), root_(root), facts_(facts), verdicts_(verdicts) {}

  void run() {
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        if (verdicts_[i].done) continue;
        ReferenceEvidence evidence = reference_evidence(graph_, root_, i, verdicts_, facts_);
        if (evidence.score < kReferenceLikely) continue;
        again |=
            settle(i, TableClass::reference,
                   evidence.score >= kReferenceCertain ? Confidence::certain : Confidence::likely,
                   std::move(evidence.why));
      }
    }
    // Parents before children: what must belong to a question is one too.
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        if (verdicts_[i].done || waits(i)) continue;
        leftover(i);
        again = true;
      }
    }
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (!verdicts_[i].done) leftover(i);
    }
  }

 private:
  bool settle(std::size_t i, TableClass table_class, Confidence confidence,
              std::vector<std::string> why) {
    Verdict& v = verdicts_[i];
    v.done = true;
    v.table_class = table_class;
    v.confidence = confidence;
    v.why.insert(v.why.end(), why.begin(), why.end());
    return true;
  }

  static bool holds_content(const TableShape& table) {
    return !application_wide(table.name.name) &&
           std::ranges::any_of(table.columns, [](const Column& c) {
             return content_column(c) || c.type == "jsonb" || c.type == "json";
           });
  }

  // A name and a value, and hardly more.
  static bool settings(const TableShape& table) {
    static const std::set<std::string_view> kSettings = {"setting", "option", "parameter",
                                                         "param",   "config", "configuration"};
    return kSettings.contains(head_noun(table.name.name)) && table.columns.size() <= 6 &&
           polymorphic_pairs(table).empty();
  }

  // Amounts and dates: things that happened to somebody.
  static bool holds_dealings(const TableShape& table) {
    return std::ranges::any_of(
               table.columns,
               [&](const Column& c) { return c.type == "numeric" || c.type == "money"; }) &&
           std::ranges::any_of(table.columns, [&](const Column& c) {
             return c.type == "date" || c.type.starts_with("timestamp");
           });
  }

  void leftover(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    const auto doubts = doubts_about(graph_, root_, i, verdicts_);
    if (!doubts.empty()) {
      settle(i, TableClass::organization, Confidence::unsure,
             {doubts.front() + ", and no sure way leads to an organization"});
      return;
    }
    const auto unresolved = unresolved_columns(graph_, root_, i);
    if (auto why = machinery_table(table.name.name)) {
      const bool solid = unresolved.empty() && graph_.out[i].empty() && solid_machinery(table);
      settle(i, TableClass::system, solid ? Confidence::likely : Confidence::unsure,
             {*why, "no way leads to an organization"});
      return;
    }
    if (of_person(i)) return;
    const bool personal = std::ranges::any_of(table.columns, [&](const Column& c) {
      return !personal_label(c, about_people(table)).empty();
    });
    const bool used = std::ranges::any_of(graph_.in[i], [&](std::size_t e) {
      return verdicts_[graph_.edges[e].from].of_organization();
    });
    const auto question = [&](TableClass table_class, std::string why) {
      settle(i, table_class, Confidence::unsure, {std::move(why)});
    };
    if (settings(table) && (!used || application_wide(table.name.name))) {
      question(TableClass::system, "settings of the application, as it seems, and of nobody else");
    } else if (!polymorphic_pairs(table).empty()) {
      question(TableClass::organization,
               "its rows belong to rows of several tables, named by type and id: it needs a key of "
               "its own");
    } else if (used) {
      question(TableClass::organization,
               "organization tables use its rows, but no way leads from it to an organization, and "
               "nothing shows that its rows are shared");
    } else if (!unresolved.empty()) {
      question(TableClass::organization,
               unresolved.front() + " names a row of a table that was not found");
    } else if (of_machinery(i)) {
      question(TableClass::system, "all that it hangs on is machinery");
    } else if (std::ranges::any_of(graph_.out[i],
                                   [&](std::size_t e) { return !graph_.edges[e].actor; })) {
      question(TableClass::organization,
               "no sure way leads to an organization, and nothing shows that its rows are shared");
    } else if (personal || holds_content(table) || holds_dealings(table) ||
               (lookup_weight(table.name.name) < 0 && !application_wide(table.name.name))) {
      question(
          TableClass::organization,
          personal
              ? "it holds personal data, and no way leads to an organization or a person"
              : "its name is that of things which organizations make, but no way leads to one");
    } else {
      question(
          TableClass::system,
          "no way leads to an organization, nothing uses its rows, and nothing shows that they "
          "are shared");
    }
  }

  bool waits(std::size_t i) const {
    return std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      const Edge& edge = graph_.edges[e];
      return edge.not_null && !edge.actor && !verdicts_[edge.to].done;
    });
  }

  bool of_machinery(std::size_t i) const {
    bool any = false;
    for (std::size_t e : graph_.out[i]) {
      const Verdict& parent = verdicts_[graph_.edges[e].to];
      if (graph_.edges[e].actor) continue;
      if (!parent.done || parent.table_class != TableClass::system) return false;
      any = true;
    }
    return any;
  }

  // Keyed by what a person signs in with: password_resets (email, token).
  bool of_person(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      if (edge.actor || parent.table_class != TableClass::person || parent.person.empty() ||
          edge.step.referenced_columns != std::vector{parent.person} ||
          !polymorphic_pairs(table).empty())
        continue;
      verdicts_[i].person = edge.step.columns[0];
      return settle(i, TableClass::person, Confidence::unsure,
                    {fmt::format("{} names a person, if anyone, and nothing names an organization",
                                 edge.step.columns[0])});
    }
    const Index* key = table.primary_key();
    if (key == nullptr || key->columns.size() != 1) return false;
    const Column* column = table.column(key->columns[0]);
    const auto label = column == nullptr ? std::string_view() : personal_label(*column, false);
    if (label != "email" && label != "online_id") return false;
    verdicts_[i].person = column->name;
    return settle(i, TableClass::person, Confidence::unsure,
                  {fmt::format("its key {} is what a person signs in with", column->name)});
  }

  const Graph& graph_;
  const Root& root_;
  const FactsByTable& facts_;
  std::vector<Verdict>& verdicts_;
};

}  // namespace

void classify_leftovers(const Graph& graph, const Root& root, const FactsByTable& facts,
                        std::vector<Verdict>& verdicts) {
  Leftovers(graph, root, facts, verdicts).run();
}

}  // namespace domicile::catalog
