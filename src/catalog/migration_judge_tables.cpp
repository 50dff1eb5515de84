// CREATE, RENAME, SET SCHEMA, DROP and TRUNCATE of tables; keys and indexes.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "catalog/migration_judge.h"

namespace domicile::catalog {

using sqltext::Node;

namespace {

constexpr const char* kBackfill =
    "run it organization by organization, each in a transaction that begins with "
    "domicile.enter(context), or within `domicile region maintenance begin --ticket TICKET --for "
    "1h "
    "--allow backfill --role ROLE`, as that role";

}  // namespace

void MigrationJudge::create_table(const Node& node, Relation relation) {
  const Node& range_var = node["relation"];
  if (range_var.str("relpersistence") == "t") return;  // temporary: gone with the session
  const QualifiedName name = schema.created(range_var);
  if (node.flag("if_not_exists") && schema.find(name) != nullptr) return;
  Standing made;
  made.shape.name = name;
  made.shape.relation = relation;
  made.columns_known = true;
  made.fresh = true;
  made.made = place_;
  if (node.has("partspec")) made.shape.relation = Relation::partitioned;
  const auto& parents = node["inhRelations"].children;
  if (!parents.empty()) {
    made.shape.parent = schema.resolved(parents[0]);
    if (node.has("partbound")) made.shape.relation = Relation::partition;
    if (Standing* parent = schema.existing(parents[0])) {
      made.shape.columns = parent->shape.columns;
      made.columns_known = parent->columns_known;
    }
  }
  const Table* entry = schema.catalog.find(name);
  const bool machinery = entry != nullptr && (entry->table_class == TableClass::system ||
                                              entry->table_class == TableClass::ignored);
  made.closed = !machinery && relation != Relation::foreign_table;
  Standing& standing = schema.add(std::move(made));
  for (const Node& element : node["tableElts"].children) {
    if (element.is("ColumnDef")) add_column(standing, element);
    if (element.is("Constraint")) add_constraint(standing, element, "");
    if (element.is("TableLikeClause")) {
      if (const Standing* like = schema.existing(element["relation"])) {
        standing.shape.columns.insert(standing.shape.columns.end(), like->shape.columns.begin(),
                                      like->shape.columns.end());
        standing.columns_known = standing.columns_known && like->columns_known;
        constexpr unsigned long kConstraints = 4;  // CREATE_TABLE_LIKE_CONSTRAINTS
        if ((std::strtoul(element["options"].text.c_str(), nullptr, 10) & kConstraints) != 0 &&
            like->enforced())
          standing.like = like->shape.name;
      }
    }
  }
  Standing* root = schema.guarded_root(standing);
  if (relation == Relation::foreign_table) {
    touch(standing, "a foreign table reaches another server's rows", true);
  } else if (root != nullptr && root->enforced() &&
             standing.shape.relation != Relation::partition) {
    refuse("inherits", to_string(name),
           fmt::format("it inherits from {}, whose CHECK it takes over but whose triggers it does "
                       "not",
                       to_string(root->shape.name)),
           "make it a partition, or a table of its own with an entry in the catalog");
  } else {
    not_armed(standing);
  }
}

void MigrationJudge::not_armed(const Standing& standing) {
  const Table* entry = schema.catalog.find(standing.shape.name);
  if (entry == nullptr) return;
  say(Severity::note, Outcome::reported, "not_armed", to_string(standing.shape.name),
      standing.closed ? "it is born closed, and opens to tenants when `domicile region init` runs "
                        "after this migration"
                      : "the region knows it when `domicile region init` runs after this migration",
      "run `domicile region init` as the last step of the deployment");
}

void MigrationJudge::create_as(const Node& into, const Node&, bool materialized, bool) {
  const Node& range_var = into["rel"];
  if (range_var.str("relpersistence") == "t") return;
  Standing made;
  made.shape.name = schema.created(range_var);
  made.shape.relation = materialized ? Relation::materialized_view : Relation::table;
  made.fresh = true;
  made.made = place_;
  made.closed = !materialized;
  Standing& standing = schema.add(std::move(made));
  if (materialized)
    touch(standing, "a materialized view stores rows, and row security cannot hold it", true);
}

void MigrationJudge::add_column(Standing& standing, const Node& node) {
  Column column{.name = std::string(node.str("colname")),
                .type = type_name(node["typeName"]),
                .not_null = node.flag("is_not_null")};
  const auto typed = strings_of(node["typeName"]["names"]);
  if (!typed.empty() && typed.back().find("serial") != std::string::npos) column.not_null = true;
  for (const Node& constraint : node["constraints"].children) {
    const auto type = constraint.str("contype");
    if (type == "CONSTR_NOTNULL" || type == "CONSTR_PRIMARY" || type == "CONSTR_IDENTITY")
      column.not_null = true;
  }
  const std::string name = column.name;
  std::erase_if(standing.shape.columns, [&](const Column& c) { return c.name == name; });
  standing.shape.columns.push_back(std::move(column));
  for (const Node& constraint : node["constraints"].children)
    add_constraint(standing, constraint, name);
}

void MigrationJudge::add_constraint(Standing& standing, const Node& node,
                                    const std::string& column) {
  const auto type = node.str("contype");
  const auto columns_in = [&](std::string_view field) {
    auto columns = strings_of(node[field]);
    if (columns.empty() && !column.empty()) columns.push_back(column);
    return columns;
  };
  if (type == "CONSTR_PRIMARY" || type == "CONSTR_UNIQUE") {
    if (!node.has("indexname"))
      unique_key(standing, columns_in("keys"), type == "CONSTR_PRIMARY",
                 std::string(node.str("conname")));
  } else if (type == "CONSTR_FOREIGN") {
    foreign_key(standing, node, columns_in("fk_attrs"), !column.empty() || standing.closed);
  }
}

void MigrationJudge::unique_key(Standing& standing, const std::vector<std::string>& columns,
                                bool primary, const std::string& name) {
  standing.shape.indexes.push_back(
      {.name = name, .columns = columns, .unique = true, .primary = primary});
  if (primary) {
    for (Column& column : standing.shape.columns)
      column.not_null = column.not_null || std::ranges::find(columns, column.name) != columns.end();
  }
  const Table* entry =
      standing.guard != nullptr ? standing.guard : schema.catalog.find(standing.shape.name);
  if (entry == nullptr || entry->table_class != TableClass::organization || entry->key.empty() ||
      entry->mode != Mode::enforce || columns.empty() || columns[0] == entry->key)
    return;
  const auto words = fmt::format(
      "{} is unique across organizations: its error tells one tenant of "
      "another's keys",
      columns.size() == 1 ? columns[0] : "the key");
  const auto remedy = fmt::format("let it begin with {}", entry->key);
  if (standing.enforced())
    report("unique_without_organization", to_string(standing.shape.name), words, remedy);
  else
    advise(primary ? Severity::note : Severity::warning, "unique_without_organization",
           to_string(standing.shape.name), words, remedy);
}

// PostgreSQL looks at the present rows of both tables with the rights of their owner, whom forced row
// security confines.
void MigrationJudge::validates_key(Standing& standing, const QualifiedName& references) {
  Standing* root = schema.guarded_root(standing);
  Standing* parent = schema.find(references);
  Standing* above = parent == nullptr ? nullptr : schema.guarded_root(*parent);
  const bool mine = root != nullptr && root->secured();
  const bool its = above != nullptr && above->secured();
  if (standing.closed || entered_ || (!mine && !its)) return;
  refuse(
      "foreign_key_validates", to_string(standing.shape.name),
      fmt::format("PostgreSQL looks at the rows of {} without an organization to validate the "
                  "foreign key to {}",
                  to_string(standing.shape.name), to_string(references)),
      "declare it with its new column, or add it NOT VALID (new rows are held to it); VALIDATE "
      "it within `domicile region maintenance begin --ticket TICKET --for 1h --allow dump --role "
      "ROLE`, as that role");
}

void MigrationJudge::foreign_key(Standing& standing, const Node& node,
                                 std::vector<std::string> columns, bool with_column) {
  ForeignKey key{.name = std::string(node.str("conname")),
                 .columns = columns,
                 .references = schema.resolved(node["pktable"]),
                 .referenced_columns = strings_of(node["pk_attrs"]),
                 .validated = !node.flag("skip_validation")};
  const Table* parent = schema.catalog.find(key.references);
  if (const Standing* target = schema.find(key.references);
      target != nullptr && key.referenced_columns.empty()) {
    if (const Index* primary = target->shape.primary_key())
      key.referenced_columns = primary->columns;
  }
  const QualifiedName references = key.references;
  if (key.validated && !with_column) validates_key(standing, references);
  standing.shape.foreign_keys.push_back(std::move(key));
  const Table* entry =
      standing.guard != nullptr ? standing.guard : schema.catalog.find(standing.shape.name);
  if (entry == nullptr || !entry->of_organization() || entry->key.empty() ||
      entry->mode != Mode::enforce || parent == nullptr ||
      parent->table_class != TableClass::organization || parent->key.empty() ||
      std::ranges::find(columns, entry->key) != columns.end())
    return;
  const auto words = fmt::format(
      "a foreign key to {} without {} may point into another tenant's "
      "rows",
      to_string(references), entry->key);
  const auto remedy = fmt::format(
      "FOREIGN KEY ({}, {}) with a unique key ({}, ...) in {}", entry->key,
      fmt::format("{}", columns.empty() ? "..." : columns[0]), parent->key, to_string(references));
  if (standing.enforced())
    report("foreign_key_without_organization", to_string(standing.shape.name), words, remedy);
  else
    advise(Severity::warning, "foreign_key_without_organization", to_string(standing.shape.name),
           words, remedy);
}

void MigrationJudge::create_index(const Node& node) {
  if (node.flag("concurrent") &&
      (explicit_transaction_ || (tool_transaction_ && file_statements_ > 1))) {
    fails("concurrently_in_transaction", to_string(schema.resolved(node["relation"])),
          "CREATE INDEX CONCURRENTLY cannot run within a transaction",
          "give it a migration of its own, outside of a transaction (Flyway: executeInTransaction="
          "false; goose: NO TRANSACTION; dbmate: transaction:false)");
  }
  Standing* standing = schema.existing(node["relation"]);
  if (standing == nullptr) return;
  std::vector<std::string> columns;
  bool complete = true;
  for (const Node& element : node["indexParams"].children) {
    if (!element.has("name")) {
      complete = false;
      break;
    }
    columns.emplace_back(element.str("name"));
  }
  if (node.flag("unique")) {
    unique_key(*standing, columns.empty() ? std::vector<std::string>{"an expression"} : columns,
               false, std::string(node.str("idxname")));
  } else {
    standing->shape.indexes.push_back({.name = std::string(node.str("idxname")),
                                       .columns = columns,
                                       .partial = node.has("whereClause"),
                                       .complete = complete});
  }
}

void MigrationJudge::rename(const Node& node) {
  const auto type = node.str("renameType");
  if (type == "OBJECT_COLUMN") return rename_column(node);
  Standing* standing = schema.existing(node["relation"]);
  if (type == "OBJECT_TABLE" || type == "OBJECT_MATVIEW") {
    const QualifiedName from = schema.resolved(node["relation"]);
    return rename_table(standing, from, {from.schema, std::string(node.str("newname"))});
  }
  const std::string what(node.str("subname"));
  if (standing == nullptr || !what.starts_with("domicile_") || !standing->enforced()) {
    if (standing != nullptr && standing->secured() && type == "OBJECT_POLICY")
      refuse("policy_changed", to_string(standing->shape.name), "a renamed policy",
             "leave the guard's policies alone");
    return;
  }
  refuse("guard_changed", to_string(standing->shape.name),
         fmt::format("{} belongs to the guard", what), "leave it alone");
}

void MigrationJudge::rename_table(Standing* standing, const QualifiedName& from,
                                  const QualifiedName& to) {
  if (standing == nullptr) return;
  const bool guarded = standing->guard != nullptr;
  const Table* entry = schema.catalog.find(to);
  const Table* former = schema.catalog.find(from);
  schema.rename(from, to);
  touch(*standing, fmt::format("{} is renamed to {}", to_string(from), to_string(to)), false);
  if (standing->shape.relation == Relation::partition) return;
  if (!guarded && standing->fresh) return not_armed(*standing);
  // Also within a transaction: its rows could be read under that name, and everything be undone.
  if (entry == nullptr && standing->enforced())
    return refuse_open(*standing, "it would be open under a name that no catalog has");
  // The region follows a table that it does not guard, under its new name.
  if (former != nullptr && entry == nullptr && !standing->enforced()) standing->opened_by.clear();
  if (entry != nullptr && guarded && standing->guard->name != to) {
    standing->opened_by.clear();
    report("renamed", to_string(to),
           fmt::format("{} changes its name; the guard stays on it", to_string(from)),
           fmt::format("let the catalog list both, {} with planned = true, run `domicile region "
                       "init` before this migration, and again after it without {}",
                       to_string(to), to_string(from)));
  }
}

void MigrationJudge::rename_column(const Node& node) {
  Standing* standing = schema.existing(node["relation"]);
  if (standing == nullptr) return;
  const std::string from(node.str("subname"));
  if (carries_guard(*standing, from)) {
    refuse(
        "guard_changed", to_string(standing->shape.name),
        fmt::format("the guard stands on column {}; its CHECK would change with the name", from),
        "`domicile region maintenance begin --ticket TICKET --for 1h --allow ddl`, rename, write "
        "the new name into the catalog, `domicile region init`, `domicile region maintenance "
        "end`");
  }
  for (Column& column : standing->shape.columns) {
    if (column.name == from) column.name = node.str("newname");
  }
}

void MigrationJudge::set_schema(const Node& node) {
  if (node.str("objectType") != "OBJECT_TABLE" && node.str("objectType") != "OBJECT_MATVIEW")
    return;
  const QualifiedName from = schema.resolved(node["relation"]);
  rename_table(schema.existing(node["relation"]), from,
               {std::string(node.str("newschema")), from.name});
}

void MigrationJudge::drop(const Node& node) {
  const auto type = node.str("removeType");
  const bool cascade = node.str("behavior") == "DROP_CASCADE";
  if (type != "OBJECT_TABLE" && type != "OBJECT_FOREIGN_TABLE" && type != "OBJECT_MATVIEW" &&
      type != "OBJECT_SCHEMA")
    return drop_other(node);
  for (const Node& object : node["objects"].children) {
    if (type == "OBJECT_SCHEMA") {
      const std::string name(object.string());
      if (name.starts_with("domicile"))
        refuse("guard_changed", name, "the guard lives in it", "leave it alone");
      for (Standing* standing : schema.in_schema(name)) {
        const QualifiedName table = standing->shape.name;
        drop_table(table, true);
      }
      continue;
    }
    const auto parts = names_of(object);
    if (parts.empty()) continue;
    Node range_var;
    range_var.kind = Node::Kind::object;
    if (parts.size() > 1)
      range_var.children.push_back({.field = "schemaname", .text = parts[parts.size() - 2]});
    range_var.children.push_back({.field = "relname", .text = parts.back()});
    drop_table(schema.resolved(range_var), cascade);
  }
}

void MigrationJudge::drop_table(const QualifiedName& name, bool cascade) {
  Standing* standing = schema.find(name);
  if (standing == nullptr) return;
  for (Standing* other : schema.all()) {
    if (other == standing || !other->enforced()) continue;
    for (const PathStep& step : other->guard->path) {
      if (step.references != name) continue;
      const auto words = fmt::format("the guard of {} finds its organization through it",
                                     to_string(other->shape.name));
      const auto remedy =
          fmt::format("drop {} first, or give it a key of its own", to_string(other->shape.name));
      if (cascade)
        refuse("policy_changed", to_string(name), words, remedy);
      else
        fails("policy_depends", to_string(name), words, remedy);
    }
  }
  if (standing->guard != nullptr && standing->shape.relation != Relation::partition) {
    report("table_missing", to_string(name),
           "the catalog lists it: the rows of all its organizations go, and so does its guard",
           "remove its section from the catalog and run `domicile region init` afterwards");
  }
  schema.remove(name);
}

void MigrationJudge::truncate(const Node& node) {
  const bool cascade = node.str("behavior") == "DROP_CASCADE";
  for (const Node& range_var : node["relations"].children) {
    Standing* standing = schema.existing(range_var);
    if (standing == nullptr) continue;
    std::vector<Standing*> emptied{standing};
    if (cascade) {
      for (Standing* other : schema.all()) {
        const bool points = std::ranges::any_of(
            other->shape.foreign_keys,
            [&](const ForeignKey& key) { return key.references == standing->shape.name; });
        if (points) emptied.push_back(other);
      }
    }
    for (Standing* one : emptied) {
      Standing* root = schema.guarded_root(*one);
      if (root == nullptr || !root->enforced()) continue;
      refuse("truncate", to_string(one->shape.name),
             "TRUNCATE takes the rows of all organizations, and the guard refuses it",
             root->guard->table_class == TableClass::reference
                 ? "change reference data in the master region; it comes from there"
                 : fmt::format("DELETE instead, and {}", kBackfill));
    }
  }
}

}  // namespace domicile::catalog
