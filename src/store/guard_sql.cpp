#include "store/guard_sql.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/connection.h"
#include "store/guard_observe.h"
#include "store/guard_path.h"

namespace domicile::store {
namespace {

using catalog::Catalog;
using catalog::Mode;
using catalog::QualifiedName;
using catalog::Schema;
using catalog::Table;
using catalog::TableClass;
using catalog::TableShape;

std::string q(const std::string& name) { return pg::quote_identifier(name); }

// Who is asking, as an expression of row security. Of few calls, because a statement prepares it for
// each table that it names, and again for each thing it does there. The guard's own functions run as
// domicile_owner and are let through by another policy, but PostgreSQL may evaluate this one too
// (pruning partitions, planning parallel workers): for them it is NULL and raises nothing.
// `pruned`: PostgreSQL chooses partitions by it before it asks any policy, a maintenance window's too.
std::string current_organization(bool pruned) {
  return fmt::format(
      "CASE WHEN current_user = 'domicile_owner' THEN NULL {}ELSE domicile.current_org() END",
      pruned ? "WHEN pg_catalog.pg_has_role(current_user, 'domicile_maintenance', 'usage') THEN "
               "domicile.org_in_window() "
             : "");
}

bool fits(std::string_view column_type, domain::KeyType key_type) {
  switch (key_type) {
    case domain::KeyType::bigint:
      return column_type == "bigint" || column_type == "integer" || column_type == "smallint";
    case domain::KeyType::uuid: return column_type == "uuid";
    case domain::KeyType::text:
      return column_type.starts_with("text") || column_type.starts_with("character varying");
  }
  return false;
}

class Planner {
 public:
  Planner(const Catalog& catalog, const Schema& schema)
      : catalog_(catalog),
        schema_(schema),
        who_(current_organization(false)),
        current_("(SELECT " + who_ + ")"),
        known_(current_ + " IS NOT NULL") {}

  Result<std::vector<TableGuard>> plan() {
    for (const Table& table : catalog_.tables) plan_table(table);
    if (!problems_.empty()) {
      return fail(Code::invalid,
                  fmt::format("the catalog does not fit the database, nothing was changed:\n  {}",
                              fmt::join(problems_, "\n  ")),
                  "catalog_mismatch");
    }
    return std::move(guards_);
  }

 private:
  void problem(const QualifiedName& name, const std::string& reason, const std::string& remedy) {
    problems_.push_back(fmt::format("table {}: {}; {}", to_string(name), reason, remedy));
  }

  void plan_table(const Table& table) {
    TableGuard guard{.name = table.name,
                     .table_class = table.table_class,
                     .mode = table.mode,
                     .key = table.key,
                     .planned = false,
                     .partitions = {},
                     .inheriting = {},
                     .functions = {},
                     .guard = {},
                     .policy = {},
                     .grants = {},
                     .notes = {}};
    const TableShape* shape = schema_.find(table.name);
    if (shape == nullptr) {
      if (!table.planned) {
        return problem(
            table.name, "it is in the catalog, not in the database",
            "remove it, or mark it planned = true (domicile catalog check lists all differences)");
      }
      guard.planned = true;
      guards_.push_back(std::move(guard));
      return;
    }
    // A partition is guarded through its root, which is in the catalog as well.
    if (shape->relation == catalog::Relation::partition && catalog_.find(shape->parent) != nullptr)
      return;
    if (shape->is_view() && table.mode != Mode::off) {
      return problem(table.name, "it is a view, which stores nothing of its own",
                     "give it mode = \"off\" or class = \"ignored\"");
    }
    if (table.open_question()) guard.mode = Mode::off;
    shape_ = shape;
    table_ = quoted(table.name);
    for (const TableShape* part : parts_of(table.name)) {
      guard.partitions.push_back(quoted(part->name));
      if (part->relation != catalog::Relation::partition)
        guard.inheriting.push_back(guard.partitions.back());
    }
    if (guard.mode != Mode::off) {
      switch (table.table_class) {
        case TableClass::organization:
        case TableClass::mixed: plan_organization(table, guard); break;
        case TableClass::person: plan_person(table, guard); break;
        case TableClass::reference: plan_reference(guard); break;
        case TableClass::system:
        case TableClass::ignored: guard.mode = Mode::off; break;
      }
      if (guard.mode == Mode::enforce) finish_enforce(guard);
    }
    guards_.push_back(std::move(guard));
  }

  // Partitions get their root's row triggers from PostgreSQL, inheriting tables do not.
  void trigger(TableGuard& guard, const std::string& name, const std::string& when,
               const std::string& condition,
               const std::string& function = "domicile.refuse_change()") {
    std::vector<std::string> tables{table_};
    tables.insert(tables.end(), guard.inheriting.begin(), guard.inheriting.end());
    for (const auto& table : tables) {
      guard.guard.push_back(
          fmt::format("CREATE OR REPLACE TRIGGER {} {} ON {} FOR EACH ROW WHEN ({}) EXECUTE "
                      "FUNCTION {}",
                      name, when, table, condition, function));
      guard.guard.push_back(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}", table, name));
    }
  }

  void check(TableGuard& guard, const std::string& condition) {
    guard.guard.push_back(fmt::format(
        "ALTER TABLE {} ADD CONSTRAINT domicile_home CHECK ({}) NOT VALID", table_, condition));
  }

  // The organization's own tables and mixed ones, by key or by path. `homed(row)` is the check of a
  // row, `gone(row)` the same for a row that leaves; row is "", "OLD." or "NEW.".
  void plan_organization(const Table& table, TableGuard& guard) {
    const bool mixed = table.table_class == TableClass::mixed;
    std::vector<std::string> columns;
    std::function<std::string(const std::string&, bool)> homed;
    std::string own;  // row security's condition
    bool pruned = false;
    ResolvedPath path;
    if (!table.path.empty()) {
      if (auto wrong = resolve_path(catalog_, schema_, table, path))
        return problem(table.name, wrong->reason, wrong->remedy);
      columns = path.steps[0].columns;
      if (guard.mode == Mode::observe) return observe_path(guard, table_, path, catalog_.key_type);
      guard.functions = path_grants(path);
      guard.functions.push_back(home_function(path, catalog_.key_type));
      homed = [path](const std::string& row, bool gone) {
        std::string call = home_function_name(path) + "(";
        for (const auto& column : path.steps[0].columns) call += row + q(column) + ", ";
        return call + (gone ? "true" : "false") + ")";
      };
      own = path_exists(path, table_, fmt::format("= {}", current_));
      propose_key(table, path, guard);
    } else {
      const catalog::Column* column = shape_->column(table.key);
      if (column == nullptr) {
        return problem(table.name, fmt::format("it has no column {}", table.key),
                       "correct its key in the catalog");
      }
      if (!fits(column->type, catalog_.key_type)) {
        return problem(table.name,
                       fmt::format("column {} is {}, the organization key is {}", table.key,
                                   column->type, domain::to_string(catalog_.key_type)),
                       "change the column's type, or correct key_type in the catalog");
      }
      guard.key_required = column->not_null && !mixed;
      columns = {table.key};
      // `domicile check` proves residency as domicile_owner, which sees the key and nothing else.
      guard.grants.push_back(
          fmt::format("GRANT USAGE ON SCHEMA {} TO domicile_owner", q(table.name.schema)));
      guard.grants.push_back(
          fmt::format("GRANT SELECT ({}) ON {} TO domicile_owner", q(table.key), table_));
      if (guard.mode == Mode::observe)
        return observe_key(guard, table_, table.key, mixed, catalog_.key_type);
      homed = [key = q(table.key)](const std::string& row, bool) {
        return fmt::format("domicile.homed({}{})", row, key);
      };
      own = fmt::format("{} = {}", q(table.key), current_);
      pruned = column->partitions;
      if (!mixed && !column->not_null) {
        guard.notes.push_back(
            fmt::format("{} may be NULL: such rows belong to nobody and are refused; ALTER TABLE "
                        "{} ALTER COLUMN "
                        "{} SET NOT NULL once there are none",
                        table.key, table_, q(table.key)));
      }
    }
    write_guard(guard, columns, homed, mixed);
    guard.policy.push_back(
        fmt::format("CREATE POLICY domicile_org ON {} USING ({}) WITH CHECK ({})", table_,
                    known_and(table, own, pruned), own));
    if (mixed) {
      guard.policy.push_back(
          fmt::format("CREATE POLICY domicile_shared ON {} FOR SELECT USING ({} AND {} IS NULL)",
                      table_, known_, q(columns[0])));
    }
    guard.grants.push_back(fmt::format(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO domicile_tenant, domicile_app", table_));
  }

  // One sub-select for both: compared as a row it becomes "key = $0 AND $1", where $1 is as free as a
  // NULL test. A mixed table's two policies need the same first condition instead, and so does one
  // that chooses partitions: what it chooses by raises nothing in a window, the first condition does.
  std::string known_and(const Table& table, const std::string& own, bool pruned) const {
    if (pruned)
      return fmt::format("{} AND ({} = (SELECT {}))", known_, q(table.key),
                         current_organization(true));
    if (!table.path.empty() || table.table_class == TableClass::mixed)
      return fmt::format("{} AND ({})", known_, own);
    return fmt::format("({}, true) = (SELECT {}, true)", q(table.key), who_);
  }

  void write_guard(TableGuard& guard, const std::vector<std::string>& columns,
                   const std::function<std::string(const std::string&, bool)>& homed, bool mixed) {
    const std::string first = q(columns[0]);
    std::vector<std::string> changed;
    for (const auto& column : columns)
      changed.push_back(fmt::format("OLD.{0} IS DISTINCT FROM NEW.{0}", q(column)));
    const std::string moved = fmt::format("({})", fmt::join(changed, " OR "));
    check(guard,
          mixed ? fmt::format("{} IS NULL OR {}", first, homed("", false)) : homed("", false));
    trigger(guard, "domicile_delete", "BEFORE DELETE",
            fmt::format("OLD.{} IS NOT NULL AND NOT {}", first, homed("OLD.", true)));
    trigger(guard, "domicile_leave", "AFTER UPDATE",
            fmt::format("OLD.{} IS NOT NULL AND {} AND NOT {}", first, moved, homed("OLD.", true)));
    if (mixed) {  // shared rows are reference data
      trigger(guard, "domicile_shared_insert", "AFTER INSERT",
              fmt::format("NEW.{} IS NULL AND NOT domicile.reference_writable()", first));
      trigger(
          guard, "domicile_shared_update", "AFTER UPDATE",
          fmt::format("(OLD.{0} IS NULL OR NEW.{0} IS NULL) AND NOT domicile.reference_writable()",
                      first));
      trigger(guard, "domicile_shared_delete", "BEFORE DELETE",
              fmt::format("OLD.{} IS NULL AND NOT domicile.reference_writable()", first));
    }
  }

  // A key of its own is the better guard: no read of the parent, deferred keys work, indexes lead
  // with it.
  void propose_key(const Table& table, const ResolvedPath& path, TableGuard& guard) {
    const auto* last = schema_.find(path.steps.back().table);
    const std::string type = last->column(path.key)->type;
    std::vector<std::string> from;
    std::vector<std::string> where;
    for (std::size_t i = 0; i < path.steps.size(); ++i) {
      from.push_back(fmt::format("{} p{}", quoted(path.steps[i].table), i + 1));
      for (std::size_t c = 0; c < path.steps[i].columns.size(); ++c) {
        where.push_back(fmt::format("p{}.{} = {}.{}", i + 1, q(path.steps[i].referenced[c]),
                                    i == 0 ? "t" : fmt::format("p{}", i),
                                    q(path.steps[i].columns[c])));
      }
    }
    guard.notes.push_back(
        fmt::format("proposal, to be reviewed: a key of its own instead of the path: ALTER TABLE "
                    "{0} ADD COLUMN {1} {2}; UPDATE {0} t SET {1} = "
                    "p{3}.{1} FROM {4} WHERE {5}; then set it in the application, SET NOT NULL, "
                    "and write key = \"{6}\" in the catalog",
                    quoted(table.name), q(path.key), type, path.steps.size(), fmt::join(from, ", "),
                    fmt::join(where, " AND "), path.key));
  }

  // Visible through membership: an organization's row that names the person.
  void plan_person(const Table& table, TableGuard& guard) {
    if (guard.mode == Mode::observe) {
      return observe_person(guard, table_);
    }
    trigger(guard, "domicile_write", "BEFORE INSERT OR UPDATE OR DELETE",
            "NOT domicile.person_writable()");
    std::string visible;
    if (!table.path.empty()) {
      ResolvedPath path;
      if (auto wrong = resolve_path(catalog_, schema_, table, path))
        return problem(table.name, wrong->reason, wrong->remedy);
      visible = path_exists(path, table_, "IS NOT NULL");
    } else {
      if (shape_->column(table.person) == nullptr) {
        return problem(table.name, fmt::format("it has no column {}", table.person),
                       "correct its person column in the catalog");
      }
      visible = membership(table);
    }
    if (visible.empty()) {
      guard.notes.push_back(
          fmt::format("no organization's table names its persons (a foreign key to {}, or person = "
                      "\"...\" in the catalog), so no tenant sees it",
                      to_string(table.name)));
      return;
    }
    guard.policy.push_back(
        fmt::format("CREATE POLICY domicile_org ON {} USING ({} AND ({})) WITH CHECK ({})", table_,
                    known_, visible, visible));
    guard.policy.push_back(
        fmt::format("CREATE POLICY domicile_new ON {} FOR INSERT WITH CHECK ({} IS NOT NULL)",
                    table_, current_));
    guard.grants.push_back(fmt::format(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO domicile_tenant, domicile_app", table_));
  }

  std::string membership(const Table& person) {
    std::vector<std::string> declared;
    std::vector<std::string> unique;
    std::vector<std::string> any;
    for (const Table& table : catalog_.tables) {
      const TableShape* shape = schema_.find(table.name);
      if (table.table_class != TableClass::organization || table.key.empty() ||
          table.mode != Mode::enforce || shape == nullptr ||
          shape->relation == catalog::Relation::partition) {
        continue;
      }
      for (const auto& foreign : shape->foreign_keys) {
        if (foreign.references != person.name || foreign.columns.size() != 1 ||
            foreign.referenced_columns.size() != 1 ||
            foreign.referenced_columns[0] != person.person) {
          continue;
        }
        const std::string exists = fmt::format(
            "EXISTS (SELECT FROM {} m WHERE m.{} = {}.{} AND m.{} = {})", quoted(table.name),
            q(foreign.columns[0]), table_, q(person.person), q(table.key), current_);
        const catalog::Index* key = shape->primary_key();
        const auto in_key = [&](const std::string& column) {
          return key != nullptr &&
                 std::find(key->columns.begin(), key->columns.end(), column) != key->columns.end();
        };
        if (table.person == foreign.columns[0]) declared.push_back(exists);
        if (key != nullptr && key->columns.size() == 2 && in_key(table.key) &&
            in_key(foreign.columns[0]))
          unique.push_back(exists);
        any.push_back(exists);
      }
    }
    const auto& chosen = !declared.empty() ? declared : !unique.empty() ? unique : any;
    return fmt::format("{}", fmt::join(chosen, " OR "));
  }

  void plan_reference(TableGuard& guard) {
    if (guard.mode == Mode::observe) {
      return observe_reference(guard, table_);
    }
    // AFTER, because a row trigger that runs before an UPDATE or DELETE locks the row first, and one
    // before an INSERT keeps COPY from storing many rows at once; what is refused undoes it all the same.
    trigger(guard, "domicile_write", "AFTER INSERT OR UPDATE OR DELETE",
            "NOT (domicile.reference_writer() OR domicile.reference_writable())");
    trigger(guard, "domicile_release", "AFTER INSERT OR UPDATE OR DELETE",
            "domicile.release_asks()", "domicile.capture_change()");
    guard.grants = reference_grants(shape_->name);
  }

  void finish_enforce(TableGuard& guard) {
    truncate_guard(guard.guard, table_, guard.table_class);
    const bool secured = guard.table_class != TableClass::reference;
    const std::string enable = "ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    if (secured) {
      // For the definer functions and for a dump (store/dump.h) only, not for whoever inherits from
      // domicile_owner.
      guard.policy.push_back(
          fmt::format("CREATE POLICY domicile_trusted ON {} FOR SELECT TO domicile_owner USING "
                      "(current_user = 'domicile_owner')",
                      table_));
      // In a maintenance window, for those who were lent domicile_maintenance; others never meet them.
      // Their names sort last because PostgreSQL tries policies from the last name to the first, and
      // domicile_org raises.
      guard.policy.push_back(fmt::format(
          "CREATE POLICY domicile_window_read ON {} FOR SELECT TO domicile_maintenance USING "
          "((SELECT domicile.maintenance_allows('read')))",
          table_));
      guard.policy.push_back(
          fmt::format("CREATE POLICY domicile_window_write ON {} TO domicile_maintenance USING "
                      "((SELECT domicile.maintenance_allows('write')))",
                      table_));
      guard.policy.push_back(fmt::format(fmt::runtime(enable), table_));
    }
    for (const std::string& part : guard.partitions) {
      truncate_guard(guard.policy, part, guard.table_class);
      if (secured) {
        guard.policy.push_back(
            fmt::format("SELECT domicile.close_part({})", pg::quote_literal(part)));
      }
    }
    guard.grants.push_back(fmt::format("GRANT USAGE ON SCHEMA {} TO domicile_tenant, domicile_app",
                                       q(guard.name.schema)));
    if (secured) {
      guard.grants.push_back(
          fmt::format("SELECT domicile_private.grant_sequences({})", pg::quote_literal(table_)));
    }
  }

  std::vector<const TableShape*> parts_of(const QualifiedName& root) const {
    std::vector<const TableShape*> found;
    std::vector<QualifiedName> open{root};
    while (!open.empty()) {
      const QualifiedName parent = open.back();
      open.pop_back();
      for (const TableShape& shape : schema_.tables) {
        if (shape.parent != parent || shape.parent.name.empty()) continue;
        if (shape.relation != catalog::Relation::partition && catalog_.find(shape.name) != nullptr)
          continue;
        found.push_back(&shape);
        open.push_back(shape.name);
      }
    }
    return found;
  }

  const Catalog& catalog_;
  const Schema& schema_;
  const std::string who_;
  const std::string current_;
  // First among the filters, because a NULL test costs nothing in the planner's eyes: a statement
  // without a context raises before any condition of its own has looked at a row.
  const std::string known_;
  std::vector<TableGuard> guards_;
  std::vector<std::string> problems_;
  const TableShape* shape_ = nullptr;
  std::string table_;
};

}  // namespace

Result<std::vector<TableGuard>> plan_guards(const Catalog& catalog, const Schema& schema) {
  return Planner(catalog, schema).plan();
}

}  // namespace domicile::store
