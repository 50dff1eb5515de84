#include "catalog/classify_keys.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "catalog/doubts.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

struct KeyColumn {
  std::string column;
  bool not_null = false;
  bool declared = false;   // a foreign key to the root, or to a key column through a composite key
  bool canonical = false;  // named as in most tables
  std::string by_number = {};  // why its numbers are organizations' keys, when only they say so
  bool doubtful = false;       // that could be an accident
  std::string joined_in = {};  // the view or function that compares it with the organizations' key
};

class ByKeys {
 public:
  ByKeys(const Graph& graph, const Root& root, const FactsByTable& facts, std::size_t users,
         std::vector<Verdict>& verdicts)
      : graph_(graph),
        root_(root),
        facts_(facts),
        users_(users),
        verdicts_(verdicts),
        columns_(verdicts.size()) {}

  void run() {
    if (root_.table != Graph::npos) settle_root();
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (i != root_.table) find_columns(i);
    }
    through_composite_keys();
    std::size_t tables = 0;
    std::size_t optional_keys = 0;
    for (const auto& found : columns_) {
      tables += !found.empty();
      optional_keys += !found.empty() && std::ranges::none_of(found, &KeyColumn::not_null);
    }
    keys_by_habit_optional_ = optional_keys * 2 > tables;
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      if (!verdicts_[i].done && columns_[i].empty()) counted_within(i);
      if (!verdicts_[i].done && !columns_[i].empty()) choose(i);
    }
  }

 private:
  void settle_root() {
    Verdict& v = verdicts_[root_.table];
    v.way = v.decided ? v.way : Way{{}, root_.key};
    if (v.done) return;
    v.done = true;
    v.table_class = TableClass::organization;
    v.confidence = root_.key.empty() ? Confidence::unsure : root_.confidence;
    v.why = root_.why;
    v.why.insert(v.why.begin(), "its rows are the organizations");
  }

  void add(std::size_t i, const std::string& column, bool declared) {
    for (KeyColumn& known : columns_[i]) {
      if (known.column != column) continue;
      known.declared = known.declared || declared;
      return;
    }
    const Column* shape = graph_.tables[i]->column(column);
    if (shape == nullptr) return;
    const bool canonical = !root_.columns.empty() && column == root_.columns[0];
    columns_[i].push_back({column, shape->not_null, declared, canonical});
  }

  void find_columns(std::size_t i) {
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      if (edge.to != root_.table || edge.actor || edge.step.columns.size() != 1) continue;
      if (edge.step.referenced_columns[0] != root_.key) continue;
      add(i, edge.step.columns[0], edge.declared);
      for (KeyColumn& known : columns_[i]) {
        if (known.column == edge.step.columns[0]) known.joined_in = edge.joined_in;
      }
    }
    if (root_.columns.empty() && root_.table == Graph::npos) return;
    // The same name as everywhere else, but nobody declared the foreign key.
    const Column* column =
        root_.columns.empty() ? nullptr : graph_.tables[i]->column(root_.columns[0]);
    if (column != nullptr && comparable(column->type, root_.type))
      add(i, column->name, root_.table == Graph::npos);
    if (!columns_[i].empty()) return;
    for (const std::string& name : keys_by_value(i)) add(i, name, false);
    if (columns_[i].empty()) keys_by_number(i);
  }

  std::vector<std::string> keys_by_value(std::size_t i) const {
    const auto at = facts_.find(graph_.tables[i]->name);
    return at == facts_.end() ? std::vector<std::string>{} : at->second.keys_by_value;
  }

  // Numbers that are keys of organizations, by how unlikely an accident is: another way of the same row
  // says the same, or they step over numbers that are no key, or they stand where keys stand and name
  // nearly every organization there is.
  void keys_by_number(std::size_t i) {
    constexpr std::int64_t kDifferentMin = 3;
    constexpr std::int64_t kRowsThatAgreeMin = 5;
    const auto at = facts_.find(graph_.tables[i]->name);
    if (at == facts_.end()) return;
    const TableShape& table = *graph_.tables[i];
    const NumberMatch* best = nullptr;
    int best_weight = 0;
    for (const NumberMatch& match : at->second.number_matches) {
      const Column* column = table.column(match.column);
      if (column == nullptr || match.different < kDifferentMin || match.differ > 0) continue;
      const bool leads = std::ranges::any_of(table.indexes, [&](const Index& index) {
        return !index.columns.empty() && index.columns[0] == match.column;
      });
      const bool agrees = match.agree >= kRowsThatAgreeMin;
      const bool tight = match.gaps >= std::max<std::int64_t>(3, match.different / 2);
      const bool most = match.different * 4 >= match.keys * 3;
      const int weight = (agrees ? 8 : 0) + (tight ? 4 : 0) +
                         (most && column->not_null && (leads || identifies(match.column)) ? 2 : 0);
      if (weight <= best_weight) continue;
      best_weight = weight;
      best = &match;
    }
    if (best == nullptr) return;
    add(i, best->column, false);
    KeyColumn& key = columns_[i].back();
    if (best_weight >= 8) {
      key.by_number =
          fmt::format("{} names the organization that {} rows reach in another way as well",
                      best->column, best->agree);
    } else if (best_weight >= 4) {
      key.by_number = fmt::format(
          "each of {} values of {} is an organization, and none of {} numbers between them that "
          "are not",
          best->different, best->column, best->gaps);
    } else {
      key.by_number = fmt::format("the values of {} are those of {} of {} organizations",
                                  best->column, best->different, best->keys);
      key.doubtful = true;
    }
  }

  // UNIQUE (issuer_id, number), and issuer_id names no table: numbers are counted within it, as they are
  // within organizations. A guess that makes a better question.
  void counted_within(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    const bool held = std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      return graph_.edges[e].not_null && !graph_.edges[e].actor &&
             lookup_weight(graph_.edges[e].step.references.name) < 3;
    });
    const bool words = family_of(root_.type) == TypeFamily::text;
    if (held || words || root_.table == Graph::npos || lookup_weight(table.name.name) >= 3) return;
    for (const Index& index : table.indexes) {
      if (!index.unique || index.columns.size() < 2) continue;
      const Column* column = table.column(index.columns[0]);
      const bool named = std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
        return graph_.edges[e].step.columns[0] == index.columns[0];
      });
      if (column == nullptr || named || !column->not_null || column->type != root_.type ||
          (index.primary && column->type != "uuid" && !identifies(column->name)) ||
          names_a_measure(column->name))
        continue;
      const auto facts = facts_.find(table.name);
      if (facts != facts_.end() && facts->second.sampled_rows > 0) return;  // the rows were asked
      add(i, column->name, false);
      columns_[i].back().by_number = fmt::format(
          "rows are counted within {}, as they are within organizations, and it names no other "
          "table",
          column->name);
      columns_[i].back().doubtful = true;
      return;
    }
  }

  static bool identifies(std::string_view column) {
    static const std::set<std::string_view> kIdentifier = {"id",  "no",  "nr",  "code", "cd",
                                                           "ref", "num", "key", "co"};
    const auto words = words_of(column);
    return !words.empty() && kIdentifier.contains(words.back());
  }

  // (tenant_id, project_id) -> projects (tenant_id, id): the child's tenant_id is the parent's.
  void through_composite_keys() {
    for (bool again = true; again;) {
      again = false;
      for (const Edge& edge : graph_.edges) {
        if (edge.step.columns.size() < 2 || edge.from == edge.to) continue;
        for (std::size_t k = 0; k < edge.step.columns.size(); ++k) {
          const auto is = [&](const std::string& name) {
            return
                [&](const KeyColumn& c) { return c.column == name && (c.canonical || c.declared); };
          };
          const bool parent =
              std::ranges::any_of(columns_[edge.to], is(edge.step.referenced_columns[k]));
          const bool known = std::ranges::any_of(columns_[edge.from], [&](const KeyColumn& c) {
            return c.column == edge.step.columns[k] && c.declared;
          });
          if (!parent || known || edge.from == root_.table) continue;
          add(edge.from, edge.step.columns[k], true);
          again = true;
        }
      }
    }
  }

  void choose(std::size_t i) {
    auto& found = columns_[i];
    // A name alone, and most rows speak against it.
    std::erase_if(found, [&](const KeyColumn& c) {
      const Facts* facts = c.declared ? nullptr : facts_of(i, c);
      return facts != nullptr && facts->sampled_rows >= 20 &&
             facts->orphans * 2 > facts->sampled_rows;
    });
    if (found.empty()) return;
    std::ranges::sort(found, {}, [](const KeyColumn& c) {
      return std::tuple(!c.not_null, !c.canonical, !c.declared, c.column);
    });
    const KeyColumn& best = found[0];
    Verdict& v = verdicts_[i];
    if (graph_.tables[i]->is_view()) found[0].not_null = true;  // a view's columns never say so
    if (!best.not_null) v.ask = Way{{}, best.column};
    if (!best.not_null && has_strong_parent(i, best))
      return;  // a NOT NULL parent says more than an optional key
    v.way = Way{{}, best.column};
    v.undeclared_key = !best.declared && root_.table != Graph::npos;
    v.table_class = TableClass::organization;
    // A doubtful root is one question, about itself; all that hangs on it is only less sure.
    v.confidence =
        root_.confidence == Confidence::unsure ? Confidence::likely : Confidence::certain;
    say_what_it_is(i, best);
    if (best.not_null && found.size() > 1 && found[1].not_null) two_owners(i, best, found[1]);
    if (!best.not_null && !optional(i, best)) return;
    if (const Facts* facts = facts_of(i, best);
        facts != nullptr && facts->rows_of_two_organizations > 0) {
      v.confidence = std::max(v.confidence, Confidence::likely);
      v.why.push_back(fmt::format("but {} of {} sampled rows reach another organization through {}",
                                  facts->rows_of_two_organizations, facts->sampled_rows,
                                  facts->second_way));
    }
    v.done = true;
  }

  void say_what_it_is(std::size_t i, const KeyColumn& best) {
    Verdict& v = verdicts_[i];
    const Facts* facts = facts_of(i, best);
    if (root_.table == Graph::npos) {
      v.why.push_back(fmt::format("{} is the key column of most tables", best.column));
      return;
    }
    if (best.declared) {
      v.why.push_back(fmt::format("{} references {}", best.column,
                                  to_string(graph_.tables[root_.table]->name)));
      return;
    }
    if (!best.by_number.empty()) {
      v.why.push_back(best.by_number);
      v.confidence =
          std::max(v.confidence, best.doubtful ? Confidence::unsure : Confidence::likely);
      return;
    }
    const auto by_value = keys_by_value(i);
    if (std::ranges::find(by_value, best.column) != by_value.end()) {
      v.why.push_back(
          fmt::format("each value of {} in the sample is an organization", best.column));
      v.confidence = std::max(v.confidence, Confidence::likely);
      return;
    }
    v.why.push_back(
        best.joined_in.empty()
            ? fmt::format("{} is named like the organization's key, without a foreign key",
                          best.column)
            : fmt::format("{} joins {} with {}", best.joined_in, best.column,
                          to_string(graph_.tables[root_.table]->name)));
    v.confidence = std::max(v.confidence, Confidence::likely);
    if (facts == nullptr || facts->sampled_rows == 0) return;
    if (facts->orphans == 0 && facts->null_keys < facts->sampled_rows) {
      v.why.push_back(
          fmt::format("all values of {} sampled rows are organizations", facts->sampled_rows));
      if (facts->sampled_rows >= 20 && root_.confidence == Confidence::certain)
        v.confidence = Confidence::certain;
    } else if (facts->orphans > 0) {
      v.why.push_back(fmt::format("but {} of {} sampled rows name no organization", facts->orphans,
                                  facts->sampled_rows));
      if (facts->orphans * 2 > facts->sampled_rows) v.confidence = Confidence::unsure;
    }
  }

  void two_owners(std::size_t i, const KeyColumn& best, const KeyColumn& second) {
    Verdict& v = verdicts_[i];
    v.why.push_back(fmt::format("but {} names an organization as well", second.column));
    // With a usual name the usual column is the owner; otherwise the row may belong to either.
    const bool told_apart = best.canonical && !second.canonical;
    v.confidence = std::max(v.confidence, told_apart ? Confidence::likely : Confidence::unsure);
  }

  bool has_strong_parent(std::size_t i, const KeyColumn& best) const {
    const Facts* facts = facts_of(i, best);
    if (facts != nullptr && facts->sampled_rows > 0 && facts->null_keys == 0) return false;
    return std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      const Edge& edge = graph_.edges[e];
      return edge.not_null && !edge.actor && edge.to != users_ && edge.to != root_.table &&
             std::ranges::any_of(columns_[edge.to], &KeyColumn::not_null);
    });
  }

  // A key that may be NULL: a shared row, a row of a person, or a column that was never made NOT
  // NULL. False: leave the table to the other passes.
  bool optional(std::size_t i, const KeyColumn& best) {
    Verdict& v = verdicts_[i];
    const TableShape& table = *graph_.tables[i];
    const Facts* facts = facts_of(i, best);
    const bool looked = facts != nullptr && facts->sampled_rows > 0;
    if (looked && facts->null_keys == 0) {
      v.why.push_back(
          fmt::format("it may be NULL, but is not in any of {} sampled rows", facts->sampled_rows));
      v.confidence = std::max(v.confidence, Confidence::likely);
      return true;
    }
    const std::string seen = looked ? fmt::format("{} of {} sampled rows have none",
                                                  facts->null_keys, facts->sampled_rows)
                                    : "no rows were looked at";
    v.why.push_back(fmt::format("it may be NULL ({})", seen));
    if (i == users_) {  // the pass over people judges those who sign in
      v.way.reset();
      v.why.clear();
      return false;
    }
    const bool personal =
        about_people(table) || std::ranges::any_of(table.columns, [&](const Column& c) {
          return !personal_label(c, false).empty();
        });
    const bool of_person = std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      return graph_.edges[e].to == users_ && graph_.edges[e].not_null;
    });
    const bool content = lookup_weight(table.name.name) < 0;
    if (personal || of_person || (content && !looked)) {
      // Were a NULL row shared, it would be copied to every region.
      v.why.push_back(
          of_person
              ? "its rows are about a person, so a row without an organization is no shared row"
          : personal
              ? "it holds personal data, so a row without an organization cannot be a shared row"
              : "its name is that of things which people make, hardly of shared rows");
      v.confidence = Confidence::unsure;
      return true;
    }
    if (!looked && of_rows_that_have_one(i)) {
      v.confidence = std::max(v.confidence, Confidence::likely);
      return true;
    }
    if (!looked && keys_by_habit_optional_ && lookup_weight(table.name.name) < 3) {
      v.why.push_back(
          "most keys of organizations may be NULL here: it is a habit, and says nothing");
      v.confidence = Confidence::unsure;
      return true;
    }
    v.table_class = TableClass::mixed;
    v.why.push_back("a row without an organization is taken for a shared row");
    v.confidence =
        std::max(v.confidence, looked && !content ? Confidence::likely : Confidence::unsure);
    if (!looked && lookup_weight(table.name.name) >= 3 && v.confidence == Confidence::unsure &&
        root_.confidence != Confidence::unsure) {
      v.confidence = Confidence::likely;
      v.why.push_back("as its name says");
    }
    return true;
  }

  // Former rows of a table whose key is NOT NULL, or rows about rows of several tables.
  bool of_rows_that_have_one(std::size_t i) {
    const TableShape& table = *graph_.tables[i];
    if (const std::size_t of = shadowed_by(graph_, i);
        of != Graph::npos && std::ranges::any_of(columns_[of], &KeyColumn::not_null)) {
      verdicts_[i].why.push_back(fmt::format("it keeps former rows of {}, which all have one",
                                             to_string(graph_.tables[of]->name)));
      return true;
    }
    for (const auto& [kind, id] : polymorphic_pairs(table)) {
      const Column* column = table.column(id);
      if (column == nullptr || !column->not_null) continue;
      verdicts_[i].why.push_back(fmt::format(
          "each row is about another one, by {} and {}: hardly a shared row", kind, id));
      return true;
    }
    return false;
  }

  const Facts* facts_of(std::size_t i, const KeyColumn& column) const {
    return facts_along(facts_, graph_.tables[i]->name, Way{{}, column.column});
  }

  const Graph& graph_;
  const Root& root_;
  const FactsByTable& facts_;
  std::size_t users_;
  std::vector<Verdict>& verdicts_;
  std::vector<std::vector<KeyColumn>> columns_;
  bool keys_by_habit_optional_ = false;
};

}  // namespace

void classify_by_keys(const Graph& graph, const Root& root, const FactsByTable& facts,
                      std::size_t users, std::vector<Verdict>& verdicts) {
  ByKeys(graph, root, facts, users, verdicts).run();
}

}  // namespace domicile::catalog
