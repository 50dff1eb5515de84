#include "catalog/propose.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/classify.h"
#include "catalog/findings.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

constexpr std::size_t kWaysPerProbe = 4;
constexpr std::size_t kUsesPerProbe = 3;

class Proposer {
 public:
  Proposer(const Schema& schema, const FactsByTable& facts, const Catalog* existing,
           const Graph& graph, const Root& root)
      : schema_(schema),
        facts_(facts),
        existing_(existing),
        graph_(graph),
        root_(root),
        verdicts_(classify(graph, root, facts, existing)) {}

  Proposal run() {
    head();
    for (std::size_t i = 0; i < verdicts_.size(); ++i) entry(i);
    keep_what_people_decided();
    if (root_.table != Graph::npos && !out_.catalog.root)
      out_.catalog.root = graph_.tables[root_.table]->name;
    drop_root_that_is_none();
    out_.findings = findings_of(schema_, graph_, root_, verdicts_, facts_);
    for (std::size_t i = 0; i < verdicts_.size(); ++i) probe(i);
    out_.root_why = root_.why;
    compare_with_before();
    return std::move(out_);
  }

 private:
  void head() {
    Catalog& catalog = out_.catalog;
    if (existing_ != nullptr) {
      catalog.key_type = existing_->key_type;
      catalog.default_mode = existing_->default_mode;
      catalog.root = existing_->root;
      catalog.schemas = existing_->schemas;
    } else {
      catalog.key_type = family_of(root_.type) == TypeFamily::uuid   ? domain::KeyType::uuid
                         : family_of(root_.type) == TypeFamily::text ? domain::KeyType::text
                                                                     : domain::KeyType::bigint;
    }
    std::set<std::string> schemas(catalog.schemas.begin(), catalog.schemas.end());
    for (const TableShape* table : graph_.tables) schemas.insert(table->name.schema);
    catalog.schemas.assign(schemas.begin(), schemas.end());
  }

  void entry(std::size_t i) {
    const Verdict& v = verdicts_[i];
    if (v.decided) return;
    const TableShape& shape = *graph_.tables[i];
    Table table;
    table.name = shape.name;
    table.table_class = v.table_class;
    table.proposed = v.confidence;
    table.why = v.why;
    if (table.of_organization() && v.way) {
      if (v.way->steps.empty()) table.key = v.way->key;
      for (const PathStep& step : v.way->steps) table.path.push_back(catalog_step(graph_, step));
    } else if (table.of_organization() && !table.open_question()) {
      table.proposed = Confidence::unsure;
    }
    if (table.table_class == TableClass::person) {
      table.person = v.person;
      for (const PathStep& step : v.person_path) table.path.push_back(catalog_step(graph_, step));
      if (!table.person.empty()) table.path.clear();
    } else if (table.of_organization()) {
      table.person = person_of(i);
    }
    personal(i, table);
    links(i, table);
    from_before(table);
    out_.catalog.put(std::move(table));
  }

  // The user whom an organization's row is about, if a single column says so.
  std::string person_of(std::size_t i) const {
    std::vector<std::string> found;
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      if (!edge.actor && edge.step.columns.size() == 1 &&
          user_weight(edge.step.references.name) >= 7)
        found.push_back(edge.step.columns[0]);
    }
    if (found.size() == 1) return found[0];
    const auto usual = std::ranges::find_if(
        found, [](const std::string& name) { return name == "user_id" || name == "userId"; });
    if (usual != found.end()) return *usual;
    const TableShape& shape = *graph_.tables[i];
    const Index* key = shape.primary_key();
    if (user_weight(shape.name.name) >= 7 && key != nullptr && key->columns.size() == 1)
      return key->columns[0];
    return {};
  }

  void personal(std::size_t i, Table& table) const {
    if (table.table_class == TableClass::reference) return;
    const TableShape& shape = *graph_.tables[i];
    if (table.table_class == TableClass::system && lookup_weight(shape.name.name) >= 3) return;
    for (const Column& column : shape.columns) {
      const auto label = personal_label(column, about_people(shape));
      if (!label.empty()) table.personal.push_back({column.name, std::string(label)});
    }
    std::ranges::sort(table.personal, {}, &PersonalColumn::column);
  }

  void links(std::size_t i, Table& table) const {
    if (table.table_class != TableClass::reference && table.table_class != TableClass::mixed)
      return;
    std::set<std::string> seen;
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      const Verdict& parent = verdicts_[edge.to];
      const bool local = parent.table_class == TableClass::organization ||
                         parent.table_class == TableClass::person;
      if (!parent.done || !local || edge.step.columns.size() != 1) continue;
      const std::string& column = edge.step.columns[0];
      if (column == table.key || (!table.path.empty() && table.path[0].columns[0] == column) ||
          !seen.insert(column).second)
        continue;
      table.links.push_back({column, edge.not_null ? LinkRule::refuse : LinkRule::drop});
    }
    std::ranges::sort(table.links, {}, &Link::column);
  }

  // A proposal may change, what people wrote beside it stays.
  void from_before(Table& table) const {
    const bool guarded = table.table_class != TableClass::system &&
                         table.table_class != TableClass::ignored && !table.open_question();
    const Table* before = existing_ == nullptr ? nullptr : existing_->find(table.name);
    table.mode =
        !guarded ? Mode::off
        : before != nullptr && !before->open_question() && before->table_class == table.table_class
            ? before->mode
            : out_.catalog.default_mode;
    if (before == nullptr) return;
    table.note = before->note;
    // The same answer for reasons that differ in a row count is no news.
    if (before->proposed == table.proposed && kind_of(*before) == kind_of(table) &&
        !before->why.empty()) {
      table.why = before->why;
    }
  }

  void keep_what_people_decided() {
    if (existing_ == nullptr) return;
    for (const Table& table : existing_->tables) {
      if (table.decided_by_person() || table.planned) {
        if (!table.decided_by_person() && out_.catalog.find(table.name) != nullptr) continue;
        out_.catalog.put(table);
      }
    }
  }

  // A person may have said that the table found as the root is something else.
  void drop_root_that_is_none() {
    if (!out_.catalog.root || (existing_ != nullptr && existing_->root)) return;
    const Table* root = out_.catalog.find(*out_.catalog.root);
    if (root == nullptr || root->table_class != TableClass::organization ||
        (root->key.empty() && !root->open_question())) {
      out_.catalog.root.reset();
    }
  }

  void probe(std::size_t i) {
    const Verdict& v = verdicts_[i];
    Probe probe{.table = graph_.tables[i]->name,
                .ways = {},
                .root = std::nullopt,
                .uses = {},
                .type_column = {}};
    if (v.ask) probe.ways.push_back(*v.ask);
    if (v.way && i != root_.table && !(v.ask && *v.ask == *v.way)) probe.ways.push_back(*v.way);
    for (const Way& way : v.others) {
      if (probe.ways.size() < kWaysPerProbe) probe.ways.push_back(way);
    }
    if (!probe.ways.empty() && probe.ways[0].steps.empty() && root_.table != Graph::npos &&
        (v.undeclared_key || v.ask)) {
      const TableShape& root = *graph_.tables[root_.table];
      const Column* mine = graph_.tables[i]->column(probe.ways[0].key);
      const Column* its = root.column(root_.key);
      if (mine != nullptr && its != nullptr && comparable(mine->type, its->type)) {
        probe.root = PathStep{{probe.ways[0].key}, root.name, {root_.key}};
      }
    }
    if (!v.decided && (v.table_class == TableClass::reference || (!v.way && v.of_organization()))) {
      for (std::size_t e : graph_.in[i]) {
        const Edge& edge = graph_.edges[e];
        const Verdict& child = verdicts_[edge.from];
        if (edge.actor || !child.of_organization() || !child.way ||
            probe.uses.size() >= kUsesPerProbe)
          continue;
        probe.uses.push_back({graph_.tables[edge.from]->name, edge.step, *child.way});
      }
    }
    if (const auto pairs = polymorphic_pairs(*graph_.tables[i]); !pairs.empty())
      probe.type_column = pairs[0].first;
    ask_for_keys(i, probe);
    const bool foreign =
        graph_.tables[i]->relation == Relation::foreign_table;  // never ask another server
    if (!foreign && !empty(probe)) out_.probes.push_back(std::move(probe));
  }

  // Words and uuids that are organizations' keys are so by no accident; numbers may be, and are looked
  // at only where their name or place lets them be identifiers.
  void ask_for_keys(std::size_t i, Probe& probe) const {
    constexpr std::size_t kColumnsMax = 12;
    const Verdict& v = verdicts_[i];
    const bool found = v.way && v.confidence != Confidence::unsure && !key_by_value(i);
    if (v.decided || found || i == root_.table || root_.table == Graph::npos ||
        v.table_class == TableClass::person)
      return;
    const TableShape& table = *graph_.tables[i];
    const bool numbers = family_of(root_.type) == TypeFamily::integer;
    for (const Column& column : table.columns) {
      const bool known = std::ranges::any_of(table.foreign_keys, [&](const ForeignKey& key) {
        return key.columns == std::vector{column.name};
      });
      if (known || !comparable(column.type, root_.type) ||
          (numbers && !perhaps_identifier(i, column)) || probe.perhaps_keys.size() >= kColumnsMax)
        continue;
      probe.perhaps_keys.push_back(column.name);
    }
    if (!probe.perhaps_keys.empty())
      probe.key_of = PathStep{{}, graph_.tables[root_.table]->name, {root_.key}};
  }

  // Names nothing yet, is not the row's own number, and is no measure.
  bool perhaps_identifier(std::size_t i, const Column& column) const {
    const TableShape& table = *graph_.tables[i];
    const Index* key = table.primary_key();
    if (key != nullptr && key->columns == std::vector{column.name}) return false;
    for (const auto& [kind, id] : polymorphic_pairs(table)) {
      if (id == column.name) return false;
    }
    const bool named = std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      const Edge& edge = graph_.edges[e];
      return edge.step.columns == std::vector{column.name} && edge.to != root_.table;
    });
    return !named && !names_a_measure(column.name);
  }

  bool key_by_value(std::size_t i) const {
    const auto at = facts_.find(graph_.tables[i]->name);
    return at != facts_.end() &&
           (!at->second.keys_by_value.empty() || !at->second.number_matches.empty());
  }

  static std::string kind_of(const Table& table) {
    std::string out(to_string(table.table_class));
    if (!table.key.empty()) out += " by " + table.key;
    for (std::size_t i = 0; i < table.path.size(); ++i)
      out += (i == 0 ? " by " : ", ") + to_string(table.path[i]);
    if (table.table_class == TableClass::person && !table.person.empty())
      out += " by " + table.person;
    if (table.open_question()) out += " (a question)";
    return out;
  }

  void compare_with_before() {
    const Catalog empty;
    const Catalog& before = existing_ == nullptr ? empty : *existing_;
    for (const Table& table : out_.catalog.tables) {
      const Table* old = before.find(table.name);
      if (old == nullptr) {
        out_.changes.push_back({Change::Kind::added, table.name, kind_of(table)});
      } else if (kind_of(*old) != kind_of(table)) {
        out_.changes.push_back(
            {Change::Kind::changed, table.name, kind_of(*old) + " -> " + kind_of(table)});
      }
    }
    for (const Table& table : before.tables) {
      if (out_.catalog.find(table.name) == nullptr)
        out_.changes.push_back({Change::Kind::removed, table.name, "the database has it no more"});
    }
  }

  const Schema& schema_;
  const FactsByTable& facts_;
  const Catalog* existing_;
  const Graph& graph_;
  const Root& root_;
  std::vector<Verdict> verdicts_;
  Proposal out_;
};

// Links told by a name that most sampled rows speak against.
std::vector<std::pair<QualifiedName, std::string>> refuted_by(const Schema& schema,
                                                              const FactsByTable& facts) {
  std::vector<std::pair<QualifiedName, std::string>> out;
  const Graph graph = build_graph(schema, {});
  for (const Edge& edge : graph.edges) {
    const TableShape& table = *graph.tables[edge.from];
    const auto at = facts.find(table.name);
    if (edge.declared || at == facts.end() || at->second.sampled_rows == 0) continue;
    const bool first_step = at->second.way.starts_with(to_string(edge.step) + ", ");
    if (first_step && at->second.orphans * 2 > at->second.sampled_rows)
      out.emplace_back(table.name, edge.step.columns[0]);
  }
  return out;
}

}  // namespace

std::string_view to_string(Severity value) {
  switch (value) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::note: return "note";
  }
  return "note";
}

Result<Proposal> propose(const Schema& schema, const FactsByTable& facts, const Catalog* existing,
                         const ProposeOptions& options) {
  const Graph graph = build_graph(schema, refuted_by(schema, facts));
  if (graph.tables.empty()) {
    return fail(Code::invalid,
                fmt::format("there is no table in {}; check the database's name and --schema",
                            schema.schemas.empty()
                                ? "the database"
                                : fmt::format("schema {}", fmt::join(schema.schemas, ", "))));
  }
  auto decided = options.root;
  if (!decided && existing != nullptr) decided = existing->root;
  if (options.root && graph.place(*options.root) == Graph::npos) {
    return fail(Code::invalid,
                fmt::format("--root: there is no table {}", to_string(*options.root)));
  }
  const bool known =
      options.key_column.empty() || std::ranges::any_of(graph.tables, [&](const TableShape* table) {
        return table->column(options.key_column) != nullptr;
      });
  if (!known)
    return fail(Code::invalid,
                fmt::format("--key-column: no table has a column {}", options.key_column));
  const Table* before = decided && existing != nullptr ? existing->find(*decided) : nullptr;
  const bool firm = options.root || before == nullptr || before->decided_by_person();
  const Root root = find_root(graph, decided, firm, options.key_column);
  if (!root.found()) {
    return fail(Code::invalid,
                "no table of organizations was found, and no column that names one stands in most "
                "tables; name it with "
                "--root schema.table, or with --key-column if no table lists the organizations",
                "no_root");
  }
  return Proposer(schema, facts, existing, graph, root).run();
}

}  // namespace domicile::catalog
