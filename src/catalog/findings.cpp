#include "catalog/findings.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

std::string sql_name(std::string_view name);

class Findings {
 public:
  Findings(const Schema& schema, const Graph& graph, const Root& root,
           const std::vector<Verdict>& verdicts, const FactsByTable& facts)
      : schema_(schema), graph_(graph), root_(root), verdicts_(verdicts), facts_(facts) {}

  std::vector<Finding> run() {
    for (const TableShape* table : graph_.tables) {
      scans_ += table->scans;
      writes_ += table->writes;
    }
    about_the_root();
    for (at_ = 0; at_ < graph_.tables.size(); ++at_) {
      table_ = graph_.tables[at_];
      about_its_shape();
      if (verdicts_[at_].of_organization()) about_its_key();
      about_its_links();
      about_its_rows();
    }
    about_views();
    std::ranges::sort(found_, {}, [](const Finding& f) {
      return std::tie(f.severity, f.table, f.kind, f.message);
    });
    return std::move(found_);
  }

 private:
  void say(Severity severity, std::string kind, std::string message, std::string remedy) {
    found_.push_back({severity, table_ == nullptr ? QualifiedName{} : table_->name, std::move(kind),
                      std::move(message), std::move(remedy)});
  }

  void about_the_root() {
    table_ = root_.table == Graph::npos ? nullptr : graph_.tables[root_.table];
    for (const RootCandidate& other : root_.others) {
      say(Severity::warning, "other_root",
          fmt::format("{} could be the table of the organizations as well: {}",
                      to_string(graph_.tables[other.table]->name), fmt::join(other.why, ", ")),
          "if it is, scan again with --root");
    }
    if (root_.table != Graph::npos && table_->column(root_.key) != nullptr &&
        table_->column(root_.key)->type == "integer") {
      say(Severity::note, "integer_key",
          "the organization key is an integer; the guard compares it as bigint", "");
    }
  }

  void about_its_shape() {
    if (table_->primary_key() == nullptr && !table_->is_view() &&
        table_->relation != Relation::foreign_table) {
      say(Severity::warning, "no_primary_key",
          "it has no primary key: its rows cannot be moved or compared one by one",
          "add a primary key, or REPLICA IDENTITY on a unique index");
    }
    for (const auto& [type, id] : polymorphic_pairs(*table_)) {
      const auto facts = facts_.find(table_->name);
      std::string targets;
      if (facts != facts_.end() && !facts->second.type_values.empty()) {
        targets = fmt::format(" (in the sample: {})", fmt::join(facts->second.type_values, ", "));
      }
      say(verdicts_[at_].of_organization() && verdicts_[at_].way ? Severity::note
                                                                 : Severity::warning,
          "polymorphic",
          fmt::format("{}, {} point at rows of several tables{}; no foreign key can hold them",
                      type, id, targets),
          verdicts_[at_].way ? "" : "add the organization key as a column of its own");
    }
    if (table_->relation == Relation::materialized_view) {
      say(Severity::warning, "materialized_view",
          "row security and the guard cannot hold a materialized view",
          "grant it to no tenant, or make it a table");
    }
    if (table_->relation == Relation::foreign_table) {
      say(Severity::warning, "foreign_table",
          "its rows lie in another database, which this catalog cannot vouch for",
          "drop it, or ignore it with a reason");
    }
    for (std::size_t e : graph_.self[at_]) {
      const Edge& edge = graph_.edges[e];
      say(Severity::note, "self_reference",
          fmt::format("{} points back into the table", fmt::join(edge.step.columns, ", ")), "");
    }
  }

  void about_its_key() {
    const Verdict& v = verdicts_[at_];
    if (!v.way && !polymorphic_pairs(*table_).empty()) return;  // said already
    if (!v.way) {
      say(Severity::warning, "no_key",
          "its rows belong to organizations, and no column says to which",
          "add the organization key as a column of its own");
      return;
    }
    about_its_references(v);
    if (!v.way->steps.empty()) {
      about_its_path(v);
      about_its_traffic(v);
      return;
    }
    const Column* key = table_->column(v.way->key);
    if (key != nullptr && !key->not_null && v.table_class == TableClass::organization) {
      say(Severity::warning, "nullable_key",
          fmt::format("{} may be NULL, and such a row would belong to nobody", key->name),
          fmt::format("fill it and set NOT NULL, or make the class mixed"));
    }
    if (v.undeclared_key) {
      say(Severity::note, "undeclared_key",
          fmt::format("{} has no foreign key to the organizations", v.way->key),
          "add one, NOT VALID first");
    }
    if (!indexed(v.way->key) && at_ != root_.table && !table_->is_view()) {
      say(Severity::warning, "key_without_index",
          fmt::format("no index begins with {}: row security and moves would read the whole table",
                      v.way->key),
          index_statement(*table_, v.way->key));
    }
    for (const Index& index : table_->indexes) {
      if (!index.unique || index.primary || at_ == root_.table) continue;
      if (std::ranges::find(index.columns, v.way->key) != index.columns.end()) continue;
      if (random_column(index)) continue;
      say(Severity::note, "unique_oracle",
          fmt::format("unique index {} does not hold {}: an error tells one organization what "
                      "another one has",
                      index.name, v.way->key),
          "lead it with the key, where the application allows");
    }
  }

  // Row security does not hold foreign keys: whether the number of another organization's row is
  // taken tells that it is there, and the row then belongs to two organizations.
  void about_its_references(const Verdict& v) {
    std::vector<std::string> loose;
    std::string fixed;
    for (std::size_t e : graph_.out[at_]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      if (!edge.declared || !parent.of_organization() || !parent.way || edge.to == root_.table)
        continue;
      if (!v.way->steps.empty() && v.way->steps[0] == edge.step) continue;  // that is whose it is
      const bool keyed = parent.way->steps.empty() &&
                         std::ranges::find(edge.step.referenced_columns, parent.way->key) !=
                             edge.step.referenced_columns.end();
      const Column* column = table_->column(edge.step.columns[0]);
      if (keyed || column == nullptr || column->type == "uuid") continue;  // nobody guesses a uuid
      if (loose.empty() && parent.way->steps.empty() && v.way->steps.empty()) {
        fixed = fmt::format("FOREIGN KEY ({}, {}) REFERENCES {} ({}, {})", v.way->key,
                            edge.step.columns[0], to_string(edge.step.references), parent.way->key,
                            edge.step.referenced_columns[0]);
      }
      loose.push_back(fmt::format("{}", fmt::join(edge.step.columns, ", ")));
    }
    if (loose.empty()) return;
    say(Severity::note, "foreign_key_oracle",
        fmt::format("{} may name rows of another organization: foreign keys are checked past row "
                    "security",
                    fmt::join(loose, "; ")),
        fixed.empty() ? "make the key a part of the foreign key" : "make it " + fixed);
  }

  // Each statement on it pays for its path.
  void about_its_traffic(const Verdict& v) {
    constexpr std::int64_t kScansMin = 10'000;
    const bool read_much = table_->scans >= kScansMin && table_->scans * 50 >= scans_;
    const bool written_much = table_->writes >= kScansMin && table_->writes * 20 >= writes_;
    if (!read_much && !written_much) return;
    say(Severity::warning, "hot_path",
        fmt::format("it is among the busiest tables ({} scans, {} rows written since statistics "
                    "began), and each statement on it would follow {} step{} to its organization",
                    table_->scans, table_->writes, v.way->steps.size(),
                    v.way->steps.size() == 1 ? "" : "s"),
        "give it the key as a column of its own before enforcing");
  }

  // A unique uuid tells nothing that could be guessed.
  bool random_column(const Index& index) const {
    return std::ranges::any_of(index.columns, [&](const std::string& name) {
      const Column* column = table_->column(name);
      return column != nullptr && column->type == "uuid";
    });
  }

  bool indexed(const std::string& column) const {
    return std::ranges::any_of(table_->indexes, [&](const Index& index) {
      return !index.partial && !index.columns.empty() && index.columns[0] == column;
    });
  }

  void about_its_path(const Verdict& v) {
    const auto& steps = v.way->steps;
    if (steps.size() >= 3 || table_->rows > 1'000'000) {
      say(Severity::warning, "long_path",
          fmt::format(
              "{} steps lead to its organization{}", steps.size(),
              table_->rows > 1'000'000 ? fmt::format(", for about {:.0f} rows", table_->rows) : ""),
          "give it the key as a column of its own: cheaper for every query");
    }
    const bool first_indexed = std::ranges::any_of(table_->indexes, [&](const Index& index) {
      return !index.partial && !index.columns.empty() && index.columns[0] == steps[0].columns[0];
    });
    if (!first_indexed && !table_->is_view()) {
      say(Severity::note, "path_without_index",
          fmt::format("no index begins with {}, the first step of its path", steps[0].columns[0]),
          "");
    }
    std::set<std::string> optional_keys;
    for (const std::string& name : root_.columns) {
      const Column* column = table_->column(name);
      if (column != nullptr && !column->not_null && comparable(column->type, root_.type)) {
        say(Severity::warning, "optional_key",
            fmt::format(
                "it has {} too, which may be NULL; the path is proposed because it cannot be",
                name),
            "fill it and set NOT NULL, then use it as the key");
        break;
      }
    }
  }

  // Shared rows that point into organization data: the link cannot follow them to another region.
  void about_its_links() {
    const Verdict& v = verdicts_[at_];
    if (v.table_class != TableClass::reference && v.table_class != TableClass::mixed) return;
    for (std::size_t e : graph_.out[at_]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      const bool local =
          parent.of_organization() || (parent.done && parent.table_class == TableClass::person);
      if (!local || parent.table_class == TableClass::mixed || edge.to == root_.table) continue;
      if (v.way && !v.way->steps.empty() && v.way->steps[0] == edge.step) continue;
      say(Severity::warning, "link_into_organization",
          fmt::format("{} points from shared rows to {}, which does not travel",
                      fmt::join(edge.step.columns, ", "), to_string(edge.step.references)),
          edge.not_null ? "make it nullable, so that the rule drop can be used"
                        : "the rule drop sets it to NULL on the way");
    }
  }

  void about_its_rows() {
    const auto at = facts_.find(table_->name);
    if (at == facts_.end()) return;
    const Facts& facts = at->second;
    if (facts.rows_of_two_organizations > 0) {
      say(Severity::error, "two_organizations",
          fmt::format("{} of {} sampled rows belong to one organization by the proposed way, and "
                      "to another by {}",
                      facts.rows_of_two_organizations, facts.sampled_rows, facts.second_way),
          "find out which is right and mend the rows before enforcing");
    }
    if (facts.orphans > 0) {
      say(Severity::error, "orphans",
          fmt::format("{} of {} sampled rows point at nothing", facts.orphans, facts.sampled_rows),
          "mend or delete them before enforcing");
    }
    if (facts.null_keys > 0 && verdicts_[at_].table_class == TableClass::organization) {
      say(Severity::error, "rows_without_organization",
          fmt::format("{} of {} sampled rows lead to no organization", facts.null_keys,
                      facts.sampled_rows),
          "fill the key, or make the class mixed if such rows are shared");
    }
  }

  void about_views() {
    for (const TableShape& view : schema_.tables) {
      if (view.relation != Relation::view || view.security_invoker || !view.extension.empty())
        continue;
      std::vector<std::string> seen;
      for (const QualifiedName& name : view.reads) {
        const std::size_t at = graph_.place(name);
        if (at != Graph::npos &&
            (verdicts_[at].of_organization() || verdicts_[at].table_class == TableClass::person))
          seen.push_back(to_string(name));
      }
      if (seen.empty()) continue;
      table_ = &view;
      say(Severity::note, "view_as_owner",
          fmt::format("the view reads {} with its owner's rights", fmt::join(seen, ", ")),
          fmt::format("ALTER VIEW {}.{} SET (security_invoker = true)", sql_name(view.name.schema),
                      sql_name(view.name.name)));
    }
  }

  const Schema& schema_;
  const Graph& graph_;
  const Root& root_;
  const std::vector<Verdict>& verdicts_;
  const FactsByTable& facts_;
  std::int64_t scans_ = 0;  // of all tables
  std::int64_t writes_ = 0;
  std::size_t at_ = 0;
  const TableShape* table_ = nullptr;
  std::vector<Finding> found_;
};

std::string sql_name(std::string_view name) {
  const bool plain = std::ranges::all_of(
      name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (plain && !name.empty() && (name[0] < '0' || name[0] > '9')) return std::string(name);
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

}  // namespace

std::string index_statement(const TableShape& table, const std::string& column) {
  // PostgreSQL builds no index of a partitioned table concurrently.
  const std::string_view way = table.relation == Relation::partitioned ? "" : "CONCURRENTLY ";
  return fmt::format("CREATE INDEX {}ON {}.{} ({})", way, sql_name(table.name.schema),
                     sql_name(table.name.name), sql_name(column));
}

std::vector<Finding> findings_of(const Schema& schema, const Graph& graph, const Root& root,
                                 const std::vector<Verdict>& verdicts, const FactsByTable& facts) {
  return Findings(schema, graph, root, verdicts, facts).run();
}

}  // namespace domicile::catalog
