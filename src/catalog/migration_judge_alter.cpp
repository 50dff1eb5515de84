// ALTER TABLE, command by command.
#include <algorithm>

#include <fmt/format.h>

#include "catalog/migration_judge.h"

namespace domicile::catalog {

using sqltext::Node;

// Does the guard's SQL on this table name the column? PostgreSQL then refuses to drop or retype it.
bool MigrationJudge::carries_guard(const Standing& standing, const std::string& column) const {
  if (!standing.enforced()) return false;
  const Table& entry = *standing.guard;
  if (entry.key == column) return true;
  if (entry.table_class == TableClass::person && entry.person == column) return true;
  if (!entry.path.empty() &&
      std::ranges::find(entry.path[0].columns, column) != entry.path[0].columns.end())
    return true;
  for (const Table& other : schema.catalog.tables) {  // a step of another table's path
    if (other.mode != Mode::enforce) continue;
    for (std::size_t i = 0; i < other.path.size(); ++i) {
      if (other.path[i].references != standing.shape.name) continue;
      const auto& named = other.path[i].referenced_columns;
      if (std::ranges::find(named, column) != named.end()) return true;
      if (i + 1 < other.path.size() &&
          std::ranges::find(other.path[i + 1].columns, column) != other.path[i + 1].columns.end())
        return true;
    }
  }
  return false;
}

void MigrationJudge::alter_table(const Node& node) {
  const auto type = node.str("objtype");
  if (type != "OBJECT_TABLE" && type != "OBJECT_MATVIEW" && type != "OBJECT_VIEW" &&
      type != "OBJECT_FOREIGN_TABLE")
    return;
  Standing* standing = schema.existing(node["relation"]);
  for (const Node& command : node["cmds"].children)
    alter_command(command, node["relation"], standing);
}

void MigrationJudge::alter_command(const Node& command, const Node& range_var, Standing* standing) {
  const auto type = command.str("subtype");
  if (type == "AT_DetachPartition" && command["def"].flag("concurrent") &&
      (explicit_transaction_ || (tool_transaction_ && file_statements_ > 1))) {
    fails("concurrently_in_transaction", to_string(schema.resolved(range_var)),
          "DETACH PARTITION CONCURRENTLY cannot run within a transaction",
          "give it a migration of its own, outside of a transaction");
  }
  if (standing == nullptr) return;
  if (type == "AT_AddColumn") return add_column(*standing, command["def"]);
  if (type == "AT_AddConstraint") return add_constraint(*standing, command["def"], "");
  if (type == "AT_ChangeOwner") return change_owner(command, *standing);
  if (type == "AT_DropColumn" || type == "AT_AlterColumnType" || type == "AT_DropNotNull" ||
      type == "AT_SetNotNull")
    return alter_column(command, *standing);
  if (type == "AT_DisableRowSecurity" || type == "AT_NoForceRowSecurity") {
    return alter_row_security(
        true,
        type == "AT_DisableRowSecurity" ? "row security is disabled" : "row security is not forced",
        *standing);
  }
  if (type == "AT_AttachPartition" || type == "AT_DetachPartition" || type == "AT_AddInherit" ||
      type == "AT_DropInherit")
    return alter_partition(command, *standing);
  if (type == "AT_ValidateConstraint") {
    for (const ForeignKey& key : standing->shape.foreign_keys) {
      if (key.name == command.str("name")) validates_key(*standing, key.references);
    }
    return;
  }
  alter_guard(command, *standing);
}

void MigrationJudge::alter_column(const Node& command, Standing& standing) {
  const auto type = command.str("subtype");
  const std::string name(command.str("name"));
  const std::string table = to_string(standing.shape.name);
  Standing* root = schema.guarded_root(standing);
  const bool guarded = root != nullptr && carries_guard(*root, name);
  const auto at = std::ranges::find(standing.shape.columns, name, &Column::name);
  const bool known = at != standing.shape.columns.end();
  const std::string remedy = fmt::format(
      "`domicile region off --table {}`, change it, correct the catalog and its mode, `domicile "
      "region init`: PostgreSQL changes no column that a policy names, in a maintenance window "
      "neither",
      root == nullptr ? table : to_string(root->shape.name));
  if (type == "AT_DropColumn") {
    if (guarded && command.str("behavior") == "DROP_CASCADE") {
      refuse("guard_changed", table, fmt::format("the guard stands on column {}", name), remedy);
    } else if (guarded) {
      fails("guard_depends", table,
            fmt::format("the guard's policy and CHECK depend on column {}", name), remedy);
    }
    if (known) standing.shape.columns.erase(at);
  } else if (type == "AT_AlterColumnType") {
    if (guarded) {
      fails("guard_depends", table,
            fmt::format("column {} is named by the guard's policy: PostgreSQL refuses another type",
                        name),
            remedy);
    }
    if (known) at->type = type_name(command["def"]["typeName"]);
  } else if (type == "AT_DropNotNull") {
    if (guarded && root->guard->key == name &&
        root->guard->table_class == TableClass::organization) {
      refuse("key_nullable", table,
             fmt::format("column {} is the organization's key: without one a row belongs to nobody",
                         name),
             "keep NOT NULL, or make the class mixed if such rows are shared");
    }
    if (known) at->not_null = false;
  } else if (known) {
    at->not_null = true;
  }
}

void MigrationJudge::alter_guard(const Node& command, Standing& standing) {
  const auto type = command.str("subtype");
  const std::string name(command.str("name"));
  Standing* root = schema.guarded_root(standing);
  if (root == nullptr || !root->enforced()) return;
  const std::string table = to_string(standing.shape.name);
  const bool ours = name.starts_with("domicile_");
  const bool triggers = type == "AT_DisableTrigAll" || type == "AT_DisableTrigUser" ||
                        type == "AT_EnableTrigAll" || type == "AT_EnableTrigUser";
  const bool trigger = type == "AT_DisableTrig" || type == "AT_EnableTrig" ||
                       type == "AT_EnableReplicaTrig" || type == "AT_EnableAlwaysTrig";
  if (triggers || (trigger && ours && type != "AT_EnableAlwaysTrig")) {
    refuse("guard_changed", table,
           triggers ? "it switches the guard's triggers too, which are ALWAYS"
                    : fmt::format("trigger {} belongs to the guard", name),
           triggers ? "name your own triggers one by one" : "leave it alone");
  } else if (type == "AT_DropConstraint" && ours) {
    refuse("guard_changed", table, fmt::format("constraint {} belongs to the guard", name),
           "leave it alone; `domicile region detach` takes the guard off");
  }
}

void MigrationJudge::alter_row_security(bool opens, std::string_view what, Standing& standing) {
  Standing* root = schema.guarded_root(standing);
  if (root != nullptr && root->secured()) {
    return refuse("row_security_off", to_string(standing.shape.name),
                  fmt::format("{}: every session would see all organizations", what),
                  "leave it on; `domicile region observe` or `detach` take the table out");
  }
  if (opens && standing.closed) touch(standing, std::string(what), true);
}

void MigrationJudge::alter_partition(const Node& command, Standing& standing) {
  const auto type = command.str("subtype");
  const bool by_partition = type == "AT_AttachPartition" || type == "AT_DetachPartition";
  const Node& range_var = by_partition ? command["def"]["name"] : command["def"];
  Standing* child = by_partition ? schema.existing(range_var) : &standing;
  Standing* parent = by_partition ? &standing : schema.existing(range_var);
  if (parent == nullptr) return;
  Standing* root = schema.guarded_root(*parent);
  const bool guarded = root != nullptr && root->enforced();
  const std::string name =
      to_string(by_partition ? schema.resolved(range_var) : standing.shape.name);
  if (type == "AT_AttachPartition") {
    if (guarded && (child == nullptr || child->like != root->shape.name)) {
      fails("attach_without_check", name,
            fmt::format("a table that is attached needs the CHECK domicile_home of {}",
                        to_string(root->shape.name)),
            fmt::format("CREATE TABLE ... PARTITION OF {}; or make it with LIKE {} INCLUDING "
                        "CONSTRAINTS before attaching",
                        to_string(root->shape.name), to_string(root->shape.name)));
    }
    if (child != nullptr) {
      child->shape.parent = parent->shape.name;
      child->shape.relation = Relation::partition;
    }
  } else if (type == "AT_DetachPartition" || type == "AT_DropInherit") {
    Standing made;
    if (child == nullptr) {  // a partition from before: known by its root alone
      made.shape.name = schema.resolved(range_var);
      made.shape.columns = parent->shape.columns;
      child = &schema.add(std::move(made));
    }
    child->shape.parent = {};
    child->shape.relation = Relation::table;
    child->closed = guarded;
    child->made = place_;
  } else if (guarded && child != nullptr) {
    refuse(
        "inherits", name,
        fmt::format("it would inherit from {} without its triggers", to_string(root->shape.name)),
        "make it a partition, or a table of its own");
  }
}

void MigrationJudge::change_owner(const Node& command, Standing& standing) {
  Standing* root = schema.guarded_root(standing);
  if (root == nullptr || !root->enforced() || root != &standing) return;
  const std::string owner(command["newowner"].str("rolename"));
  if (!owner.empty() && owner == options_.owner) return;
  const std::string table = to_string(standing.shape.name);
  const char* remedy =
      "keep the owner; `domicile region init` records a new one within a "
      "maintenance window";
  if (options_.owner.empty()) {
    return advise(Severity::warning, "owner_changed", table,
                  fmt::format("refused unless {} owns it already (say so with --owner)",
                              owner.empty() ? "the present role" : owner),
                  remedy);
  }
  refuse("owner_changed", table, fmt::format("its owner is recorded as {}", options_.owner),
         remedy);
}

}  // namespace domicile::catalog
