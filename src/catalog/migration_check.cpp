#include "catalog/migration_check.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "catalog/compare.h"
#include "catalog/migration_judge.h"
#include "sqltext/large_stack.h"
#include "sqltext/statements.h"

namespace domicile::catalog {

using sqltext::Node;

MigrationJudge::MigrationJudge(const Catalog& catalog, const MigrationCheckOptions& options)
    : schema(catalog, options.search_path), options_(options) {}

void MigrationJudge::say(Severity severity, Outcome outcome, std::string kind, std::string object,
                         std::string message, std::string remedy) {
  if (!judged_) return;
  MigrationFinding finding{severity,    outcome,           std::move(kind),    place_.path,
                           place_.line, std::move(object), std::move(message), std::move(remedy)};
  if (std::ranges::find(findings, finding) == findings.end())
    findings.push_back(std::move(finding));
}

void MigrationJudge::touch(Standing& standing, std::string what, bool opens) {
  standing.touched = place_;
  standing.opened_by = std::move(what);
  if (opens) standing.closed = false;
}

// The guard's check at commit: a table that is not in the catalog must be closed.
void MigrationJudge::commit() {
  entered_ = false;
  const Place here = place_;
  for (Standing* standing : schema.all()) {
    if (standing->opened_by.empty() || standing->closed) continue;
    const QualifiedName& name = standing->shape.name;
    const bool part = !standing->shape.parent.name.empty() && schema.guarded_root(*standing);
    if (schema.catalog.find(name) != nullptr || part) {
      standing->opened_by.clear();
      continue;
    }
    place_ = standing->touched;
    refuse_open(*standing, "it would be open and in no catalog when the transaction commits");
  }
  place_ = here;
}

void MigrationJudge::refuse_open(Standing& standing, std::string_view why) {
  const std::string name = to_string(standing.shape.name);
  refuse("unclassified_open", name, fmt::format("{}: {}", standing.opened_by, why),
         fmt::format("add {} to the catalog (planned = true) and run `domicile region init` "
                     "before this migration",
                     name));
  standing.opened_by.clear();
  standing.closed = standing.shape.relation == Relation::table;  // that transaction is gone
}

void MigrationJudge::migration(const Migration& migration, bool judged) {
  judged_ = judged;
  tool_transaction_ = migration.transaction;
  explicit_transaction_ = false;
  entered_ = false;
  const auto search_path = schema.search_path;
  const auto statements_here = sqltext::split_statements(migration.text);
  file_statements_ = statements_here.size();
  // Django's sqlmigrate says so where Python runs.
  if (const auto at = migration.text.find("CANNOT BE WRITTEN AS SQL"); at != std::string::npos) {
    const auto line = std::count(migration.text.begin(),
                                 migration.text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    place_ = {migration.path, static_cast<std::size_t>(line) + 1};
    advise(Severity::warning, "not_followed", "", "a part of it is Python, which is not followed",
           "let it read and write through domicile.enter(), one organization at a time");
  }
  for (const auto& statement_here : statements_here) {
    place_ = {migration.path, statement_here.line};
    if (statement_here.psql) {
      const auto text = statement_here.text;
      if (text.starts_with("\\i") || text.starts_with("\\copy") || text.starts_with("\\connect") ||
          text.starts_with("\\c ")) {
        advise(Severity::warning, "not_followed", "",
               fmt::format("{} is not followed", text.substr(0, 60)), "check that file as well");
      }
      continue;
    }
    statements += judged_;
    statement(statement_here.text, migration);
    if (!tool_transaction_ && !explicit_transaction_) commit();
  }
  commit();
  schema.search_path = search_path;
  schema.arm();
}

void MigrationJudge::statement(std::string_view text, const Migration& migration) {
  const auto tree = sqltext::parse_statement(text);
  if (!tree) {
    advise(Severity::error, "not_read", "", tree.error().message,
           tree.error().reason == "sql_too_long"
               ? "load that many rows outside of migrations, in pieces"
               : fmt::format("correct it; it is read as {} with the grammar of PostgreSQL 15",
                             to_string(migration.tool)));
    return;
  }
  if (tree->cut) {
    advise(Severity::warning, "not_followed", "",
           "the statement nests too deep to be looked at whole", "write it flatter");
  }
  const Node& node = tree->statement;
  if (node.is("DoStmt") && block(text, node)) return;
  if (node.is("CreateFunctionStmt")) remember(text, node);
  judge_tree(node);
}

void MigrationJudge::dispatch(const Node& node) {
  using Handler = std::function<void(MigrationJudge&, const Node&)>;
  static const std::map<std::string_view, Handler> handlers = {
      {"TransactionStmt", [](auto& j, auto& n) { j.transaction(n); }},
      {"VariableSetStmt", [](auto& j, auto& n) { j.set_variable(n); }},
      {"CreateStmt", [](auto& j, auto& n) { j.create_table(n, Relation::table); }},
      {"CreateForeignTableStmt",
       [](auto& j, auto& n) { j.create_table(n["base"], Relation::foreign_table); }},
      {"CreateTableAsStmt",
       [](auto& j, auto& n) {
         j.create_as(n["into"], n["query"], n.str("objtype") == "OBJECT_MATVIEW",
                     !n["into"].flag("skipData"));
       }},
      {"CreateSchemaStmt",
       [](auto& j, auto& n) {
         for (const Node& element : n["schemaElts"].children) j.dispatch(element);
       }},
      {"IndexStmt", [](auto& j, auto& n) { j.create_index(n); }},
      {"RenameStmt", [](auto& j, auto& n) { j.rename(n); }},
      {"AlterObjectSchemaStmt", [](auto& j, auto& n) { j.set_schema(n); }},
      {"DropStmt", [](auto& j, auto& n) { j.drop(n); }},
      {"TruncateStmt", [](auto& j, auto& n) { j.truncate(n); }},
      {"AlterTableStmt", [](auto& j, auto& n) { j.alter_table(n); }},
      {"GrantStmt", [](auto& j, auto& n) { j.grant(n); }},
      {"AlterDefaultPrivilegesStmt", [](auto& j, auto& n) { j.default_privileges(n["action"]); }},
      {"CreatePolicyStmt", [](auto& j, auto& n) { j.policy(n["table"], "a policy of its own"); }},
      {"AlterPolicyStmt", [](auto& j, auto& n) { j.policy(n["table"], "an altered policy"); }},
      {"RuleStmt", [](auto& j, auto& n) { j.rule(n); }},
      {"ViewStmt", [](auto& j, auto& n) { j.view(n); }},
      {"CreateFunctionStmt", [](auto& j, auto& n) { j.function(n); }},
      {"AlterFunctionStmt", [](auto& j, auto& n) { j.function(n); }},
      {"CreateExtensionStmt", [](auto& j, auto& n) { j.extension(std::string(n.str("extname"))); }},
      {"CreatePublicationStmt", [](auto& j, auto& n) { j.outside(n); }},
      {"CreateSubscriptionStmt", [](auto& j, auto& n) { j.outside(n); }},
      {"CreateForeignServerStmt", [](auto& j, auto& n) { j.outside(n); }},
      {"CreateFdwStmt", [](auto& j, auto& n) { j.outside(n); }},
      {"CreateRoleStmt", [](auto& j, auto& n) { j.role(n); }},
      {"AlterRoleStmt", [](auto& j, auto& n) { j.role(n); }},
      {"AlterRoleSetStmt", [](auto& j, auto& n) { j.role(n); }},
      {"AlterDatabaseSetStmt", [](auto& j, auto& n) { j.role(n); }},
      {"GrantRoleStmt", [](auto& j, auto& n) { j.role(n); }},
      {"AlterEventTrigStmt", [](auto& j, auto& n) { j.outside(n); }},
      {"InsertStmt", [](auto& j, auto& n) { j.rows(n); }},
      {"UpdateStmt", [](auto& j, auto& n) { j.rows(n); }},
      {"DeleteStmt", [](auto& j, auto& n) { j.rows(n); }},
      {"MergeStmt", [](auto& j, auto& n) { j.rows(n); }},
      {"SelectStmt", [](auto& j, auto& n) { j.rows(n); }},
      {"CopyStmt", [](auto& j, auto& n) { j.copy(n); }},
      {"DoStmt", [](auto& j, auto& n) { j.opaque(n); }},
      {"CallStmt", [](auto& j, auto& n) { j.opaque(n); }},
  };
  const auto at = handlers.find(node.type);
  if (at != handlers.end()) at->second(*this, node);
}

void MigrationJudge::transaction(const Node& node) {
  const auto kind = node.str("kind");
  if (kind == "TRANS_STMT_BEGIN" || kind == "TRANS_STMT_START") {
    explicit_transaction_ = true;
  } else if (kind == "TRANS_STMT_COMMIT" || kind == "TRANS_STMT_ROLLBACK") {
    commit();
    explicit_transaction_ = false;
    tool_transaction_ = false;  // whatever the tool opened is over
  }
}

void MigrationJudge::set_variable(const Node& node) {
  if (node.str("name") == "search_path") schema.search_path = strings_of(node["args"]);
}

// New tables as they stand now, held against their entries in the catalog.
void MigrationJudge::finish() {
  judged_ = true;
  Schema shapes;
  std::map<QualifiedName, Place> places;
  std::set<std::string> schemas;
  for (Standing* standing : schema.all()) {
    schemas.insert(standing->shape.name.schema);
    if (!standing->columns_known) continue;
    shapes.tables.push_back(standing->shape);
    if (!standing->made.path.empty()) places[standing->shape.name] = standing->made;
  }
  std::ranges::sort(shapes.tables, {}, &TableShape::name);
  shapes.schemas.assign(schemas.begin(), schemas.end());
  for (const Finding& finding : compare(schema.catalog, shapes)) {
    const auto at = places.find(finding.table);
    if (at == places.end() || finding.kind == "unclassified_table") continue;
    const Table* entry = schema.catalog.find(finding.table);
    const bool error = finding.severity == Severity::error;
    if (finding.kind == "planned_exists" || finding.kind == "partition_listed") continue;
    place_ = at->second;
    say(finding.severity, Outcome::advice, finding.kind, to_string(finding.table),
        finding.message + (error && entry != nullptr && entry->mode != Mode::off
                               ? ": region init refuses it"
                               : ""),
        finding.remedy);
  }
  for (Standing* standing : schema.all()) {
    if (standing->made.path.empty() || standing->shape.relation == Relation::view) continue;
    if (schema.catalog.find(standing->shape.name) != nullptr || !standing->closed) continue;
    if (standing->shape.relation == Relation::partition && schema.guarded_root(*standing)) continue;
    place_ = standing->made;
    say(Severity::error, Outcome::closed, "unclassified_table", to_string(standing->shape.name),
        "it is not in the catalog: it is born closed, and no tenant can read it",
        fmt::format("classify it: [[table]] name = \"{}\" with class, key and planned = true",
                    to_string(standing->shape.name)));
  }
}

namespace {

// What the catalog lists and no migration makes stood there before all of them.
void start_with_catalog(MigrationJudge& judge, const MigrationSet& set) {
  std::set<QualifiedName> made;
  for (const Migration& migration : set.migrations) {
    for (const auto& text : sqltext::split_statements(migration.text)) {
      if (text.psql) continue;
      const auto tree = sqltext::parse_statement(text.text);
      if (!tree) continue;
      const Node& node = tree->statement;
      const bool plain = node.is("CreateStmt") || node.is("CreateForeignTableStmt");
      if (!plain && !node.is("CreateTableAsStmt") && !node.is("ViewStmt")) continue;
      const Node& relation = node.is("CreateStmt")               ? node["relation"]
                             : node.is("CreateForeignTableStmt") ? node["base"]["relation"]
                             : node.is("ViewStmt")               ? node["view"]
                                                                 : node["into"]["rel"];
      if (node.is("CreateStmt") && node.flag("if_not_exists") &&
          judge.schema.catalog.find(judge.schema.created(relation)) != nullptr &&
          !judge.schema.catalog.find(judge.schema.created(relation))->planned)
        continue;
      made.insert(judge.schema.created(relation));
      if (relation.has("schemaname")) continue;
      for (const auto& schema : judge.schema.catalog.schemas)
        made.insert({schema, std::string(relation.str("relname"))});
    }
  }
  for (const Table& table : judge.schema.catalog.tables) {
    if (table.planned || made.contains(table.name)) continue;
    Standing standing;
    standing.shape.name = table.name;
    standing.guard = &table;
    if (!table.key.empty())
      standing.shape.columns.push_back(
          {.name = table.key,
           .type = std::string(domain::to_string(judge.schema.catalog.key_type)),
           .not_null = table.table_class == TableClass::organization});
    judge.schema.add(std::move(standing));
  }
}

std::optional<std::size_t> first_after(const MigrationSet& set, const std::string& since) {
  for (std::size_t i = 0; i < set.migrations.size(); ++i) {
    const std::string& path = set.migrations[i].path;
    const auto folder =
        path.rfind('/', path.rfind('/') == std::string::npos ? 0 : path.rfind('/') - 1);
    const std::string tail = folder == std::string::npos ? path : path.substr(folder + 1);
    if (path == since || path.ends_with("/" + since) || tail.starts_with(since + "/")) return i + 1;
  }
  return {};
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::refused: return "refused";
    case Outcome::fails: return "fails";
    case Outcome::closed: return "closed";
    case Outcome::reported: return "reported";
    case Outcome::advice: return "advice";
  }
  return "";
}

Result<MigrationReport> check_migrations(const Catalog& catalog, const MigrationSet& set,
                                         const MigrationCheckOptions& options) {
  std::size_t first = 0;
  if (!options.since.empty()) {
    const auto found = first_after(set, options.since);
    if (!found) return fail(Code::invalid, fmt::format("no migration is called {}", options.since));
    first = *found;
  }
  MigrationReport report;
  sqltext::on_large_stack([&] {
    MigrationJudge judge(catalog, options);
    start_with_catalog(judge, set);
    for (std::size_t i = 0; i < set.migrations.size(); ++i)
      judge.migration(set.migrations[i], i >= first);
    judge.finish();
    std::map<std::string, std::size_t> order;
    for (std::size_t i = 0; i < set.migrations.size(); ++i) order[set.migrations[i].path] = i;
    std::erase_if(judge.findings, [&](const auto& f) { return order[f.path] < first; });
    std::ranges::sort(judge.findings, {}, [&](const MigrationFinding& f) {
      return std::tuple(order[f.path], f.line, f.severity, f.kind, f.object, f.message);
    });
    report.findings = std::move(judge.findings);
    report.statements = judge.statements;
  });
  report.migrations = set.migrations.size() - first;
  return report;
}

}  // namespace domicile::catalog
