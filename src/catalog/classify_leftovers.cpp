#include "catalog/classify_leftovers.h"

#include <algorithm>

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

  void leftover(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    if (auto why = machinery_table(table.name.name)) {
      settle(i, TableClass::system, Confidence::likely, {*why, "no way leads to an organization"});
      return;
    }
    const bool personal = std::ranges::any_of(table.columns, [&](const Column& c) {
      return !personal_label(c, about_people(table)).empty();
    });
    const bool used = std::ranges::any_of(graph_.in[i], [&](std::size_t e) {
      return verdicts_[graph_.edges[e].from].of_organization();
    });
    if (!polymorphic_pairs(table).empty()) {
      settle(i, TableClass::organization, Confidence::unsure,
             {"its rows belong to rows of several tables, named by type and id: it needs a key of "
              "its own"});
    } else if (used || graph_.out[i].empty() == false) {
      settle(i, TableClass::organization, Confidence::unsure,
             {used ? "organization tables use its rows, but no way leads from it to an "
                     "organization, and nothing shows that its rows are shared"
                   : "no sure way leads to an organization, and nothing shows that its rows are "
                     "shared"});
    } else if (personal || holds_content(table) ||
               (lookup_weight(table.name.name) < 0 && !application_wide(table.name.name))) {
      settle(
          i, TableClass::organization, Confidence::unsure,
          {personal
               ? "it holds personal data, and no way leads to an organization or a person"
               : "its name is that of things which organizations make, but no way leads to one"});
    } else {
      settle(i, TableClass::system, Confidence::unsure,
             {"no way leads to an organization, nothing uses its rows, and nothing shows that they "
              "are shared"});
    }
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
