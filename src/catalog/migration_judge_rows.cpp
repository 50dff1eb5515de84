// Statements on rows: what a migration reads and writes without an organization.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/migration_judge.h"

namespace domicile::catalog {

using sqltext::Node;

namespace {

constexpr const char* kByOrganization =
    "run it organization by organization, each in a transaction that begins with "
    "domicile.enter(context), or within `domicile region maintenance begin --ticket TICKET --for "
    "1h "
    "--allow backfill --role ROLE`, as that role";

std::string_view verb_of(const Node& node) {
  if (node.is("InsertStmt")) return "INSERT";
  if (node.is("UpdateStmt")) return "UPDATE";
  if (node.is("DeleteStmt")) return "DELETE";
  return "MERGE";
}

}  // namespace

void MigrationJudge::write(const Node& range_var, std::string_view verb) {
  Standing* standing = schema.existing(range_var);
  if (standing == nullptr) return;
  const std::string table = to_string(standing->shape.name);
  Standing* root = schema.guarded_root(*standing);
  if (root != nullptr && root->secured()) {
    if (entered_) return;
    return refuse(
        "backfill", table,
        fmt::format("{} without an organization: row security confines the tables' owner "
                    "too",
                    verb),
        root->guard->table_class == TableClass::mixed
            ? fmt::format("{}; shared rows ({} IS NULL) change in the master region alone",
                          kByOrganization, root->guard->key)
            : kByOrganization);
  }
  if (root != nullptr && root->enforced()) {
    return refuse(
        "reference_write", table,
        fmt::format("{} on reference data is refused in every region but the master", verb),
        "change it in the master region, from where it travels; guard such a migration "
        "with IF domicile.region_master() in a DO block");
  }
  if (standing->closed && verb == "INSERT") {
    refuse("insert_into_closed", table,
           "the new table is closed (row security on, no policy), also for its owner",
           "insert in a later migration, after `domicile region init`; or list it in the catalog "
           "as class system or ignored if it holds no organization's rows");
  } else if (standing->closed) {
    advise(Severity::warning, "no_rows_in_closed", table,
           fmt::format("the new table is closed: {} finds no row, and says nothing", verb),
           "write in a later migration, after `domicile region init`");
  }
}

// What is written, here and within WITH.
void MigrationJudge::rows(const Node& node) {
  if (node.is("SelectStmt")) {
    std::vector<const Node*> calls;
    collect(node, "FuncCall", calls);
    for (const Node* call : calls) {
      const auto name = strings_of((*call)["funcname"]);
      if (name.size() == 2 && name[0] == "domicile" && name[1] == "enter") entered_ = true;
      const auto& args = (*call)["args"].children;
      if (!name.empty() && name.back() == "set_config" && args.size() > 1 &&
          args[0].string() == "search_path") {
        schema.search_path.clear();
        if (!args[1].string().empty()) schema.search_path = {std::string(args[1].string())};
      }
    }
    if (node.has("intoClause")) create_as(node["intoClause"], node, false, true);
  } else {
    write(node["relation"], verb_of(node));
  }
  for (const char* type : {"InsertStmt", "UpdateStmt", "DeleteStmt"}) {
    std::vector<const Node*> nested;
    collect(node, type, nested);
    for (const Node* one : nested) {
      if (one != &node) write((*one)["relation"], verb_of(*one));
    }
  }
}

// What a statement that runs at once reads. (A view or a function reads later, as whoever calls.)
void MigrationJudge::reads(const Node& node) {
  static const std::set<std::string_view> readers = {
      "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CreateTableAsStmt"};
  if (!readers.contains(node.type) || entered_) return;
  if (node.is("CreateTableAsStmt") && node["into"].flag("skipData")) return;
  std::vector<const Node*> common;
  collect(node, "CommonTableExpr", common);
  std::vector<const Node*> tables;
  collect(node, "RangeVar", tables);
  for (const Node* range_var : tables) {
    const bool of_with =
        !range_var->has("schemaname") && std::ranges::any_of(common, [&](const Node* c) {
          return c->str("ctename") == range_var->str("relname");
        });
    Standing* standing = of_with ? nullptr : schema.existing(*range_var);
    Standing* root = standing == nullptr ? nullptr : schema.guarded_root(*standing);
    if (root == nullptr || !root->secured()) continue;
    refuse("backfill", to_string(standing->shape.name),
           "it is read without an organization: row security confines the tables' owner too",
           kByOrganization);
  }
}

void MigrationJudge::copy(const Node& node) {
  if (node.has("query")) return reads(node["query"]);
  Standing* standing = schema.existing(node["relation"]);
  Standing* root = standing == nullptr ? nullptr : schema.guarded_root(*standing);
  if (standing == nullptr) return;
  const std::string table = to_string(standing->shape.name);
  const bool secured = root != nullptr && root->secured();
  if (node.flag("is_from") && (secured || standing->closed)) {
    return fails("copy_from", table, "PostgreSQL refuses COPY FROM on a table with row security",
                 "INSERT instead, as for a backfill; no window makes COPY pass");
  }
  if (node.flag("is_from") && root != nullptr && root->enforced())
    return write(node["relation"], "COPY");
  if (secured && !entered_)
    refuse("backfill", table, "it is read without an organization", kByOrganization);
}

void MigrationJudge::opaque(const Node& node) {
  const auto name = strings_of(node["funccall"]["funcname"]);
  if (!name.empty() && bodies_.contains(name.back())) return;  // it is followed
  advise(Severity::warning, "not_followed", "",
         node.is("DoStmt") ? "what a DO block does is not followed"
                           : "what the procedure does is not followed",
         "write it as plain SQL, or try it against a test region");
}

}  // namespace domicile::catalog
