#include "catalog/compare.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "catalog/findings.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

bool key_type_fits(domain::KeyType key, std::string_view type) {
  switch (key) {
    case domain::KeyType::bigint: return family_of(type) == TypeFamily::integer;
    case domain::KeyType::uuid: return family_of(type) == TypeFamily::uuid;
    case domain::KeyType::text: return family_of(type) == TypeFamily::text;
  }
  return false;
}

class Comparison {
 public:
  Comparison(const Catalog& catalog, const Schema& schema) : catalog_(catalog), schema_(schema) {}

  std::vector<Finding> run() {
    for (const TableShape* shape : schema_.classifiable()) {
      if (catalog_.find(shape->name) == nullptr) unclassified(*shape);
    }
    for (const auto& [schema, count] : uncovered_) {
      found_.push_back({Severity::warning,
                        {schema, "*"},
                        "uncovered_schema",
                        fmt::format("the catalog does not cover this schema, which has {} table{}",
                                    count, count == 1 ? "" : "s"),
                        "add it to catalog.schemas and scan, if the application uses it"});
    }
    for (const Table& table : catalog_.tables) {
      table_ = &table;
      shape_ = schema_.find(table.name);
      if (shape_ == nullptr) {
        absent();
        continue;
      }
      is_a_table();
      if (shape_->relation == Relation::partition || shape_->relation == Relation::view) continue;
      is_decided();
      key();
      path();
      columns();
      contradictions();
    }
    std::ranges::sort(found_, {}, [](const Finding& f) {
      return std::tie(f.severity, f.table, f.kind, f.message);
    });
    return std::move(found_);
  }

 private:
  void say(Severity severity, std::string kind, std::string message, std::string remedy) {
    found_.push_back(
        {severity, table_->name, std::move(kind), std::move(message), std::move(remedy)});
  }

  void unclassified(const TableShape& shape) {
    if (!std::ranges::binary_search(catalog_.schemas, shape.name.schema)) {
      ++uncovered_[shape.name.schema];
      return;
    }
    found_.push_back({Severity::error, shape.name, "unclassified_table",
                      "the database has it, the catalog does not: it is closed to tenants",
                      "run `domicile catalog scan` for a proposal, or add a [[table]] section"});
  }

  void absent() {
    if (table_->planned) return;
    if (!std::ranges::binary_search(schema_.schemas, table_->name.schema)) {
      say(Severity::error, "missing_schema",
          fmt::format("schema {} was not read: it does not exist, or this role may not use it",
                      table_->name.schema),
          "create it or grant USAGE, or correct the name");
    } else {
      say(Severity::error, "missing_table", "the catalog has it, the database does not",
          "remove the section, or write planned = true if a migration will create it");
    }
  }

  void is_a_table() {
    if (shape_->relation == Relation::view) {
      say(Severity::error, "not_a_table", "it is a view, which stores no rows",
          "remove the section; views follow the tables that they read");
    }
    if (shape_->relation == Relation::partition) {
      const Table* root = catalog_.find(shape_->parent);
      if (root != nullptr &&
          (root->table_class != table_->table_class || root->key != table_->key)) {
        say(Severity::error, "partition_class",
            fmt::format("it is a partition of {}, which is of another class or key",
                        to_string(shape_->parent)),
            "remove the section: a partition has its root's class");
      } else {
        say(Severity::note, "partition_listed",
            fmt::format("it is a partition of {} and needs no section of its own",
                        to_string(shape_->parent)),
            "remove the section");
      }
    }
    if (table_->planned)
      say(Severity::note, "planned_exists", "it is marked as planned, and exists",
          "remove the line `planned`");
    const TableShape* parent = schema_.find(shape_->parent);
    if (parent == nullptr || shape_->relation == Relation::partition) return;
    const Table* above = catalog_.find(parent->name);
    if (above != nullptr && above->table_class != table_->table_class) {
      say(Severity::error, "inherited_class",
          fmt::format(
              "it inherits from {}, whose class is {}: a query of that table reads these rows too",
              to_string(parent->name), to_string(above->table_class)),
          "give both the same class");
    }
  }

  void is_decided() {
    if (table_->open_question()) {
      say(Severity::error, "open_question",
          fmt::format("the scan could not tell its class{}",
                      table_->why.empty() ? "" : ": " + table_->why[0]),
          "decide it, then remove the line `proposed`");
    }
  }

  bool column_exists(std::string_view what, const std::string& name, std::string_view kind) {
    if (shape_->column(name) != nullptr) return true;
    say(Severity::error, std::string(kind),
        fmt::format("its {} names column {}, which does not exist", what, name),
        fmt::format("correct the {}, or run a scan", what));
    return false;
  }

  void key() {
    const std::string& name = table_->key;
    if (name.empty() || !column_exists("key", name, "key_column_missing")) return;
    const Column& column = *shape_->column(name);
    if (!key_type_fits(catalog_.key_type, column.type)) {
      say(Severity::error, "key_column_type",
          fmt::format("column {} is of type {}, the catalog's key_type is {}", name, column.type,
                      domain::to_string(catalog_.key_type)),
          "name the column that holds the organization's key");
    }
    if (table_->table_class == TableClass::organization && !column.not_null &&
        shape_->relation != Relation::materialized_view) {
      say(table_->mode == Mode::enforce ? Severity::error : Severity::warning, "nullable_key",
          fmt::format("column {} may be NULL: such a row belongs to nobody", name),
          "fill it and set NOT NULL, or make the class mixed if such rows are shared");
    }
    if (table_->table_class == TableClass::mixed && column.not_null) {
      say(Severity::note, "never_shared",
          fmt::format("column {} is NOT NULL, so no row is shared", name),
          "make the class organization");
    }
    const bool indexed = std::ranges::any_of(shape_->indexes, [&](const Index& index) {
      return !index.partial && !index.columns.empty() && index.columns[0] == name;
    });
    if (!indexed && !shape_->is_view()) {
      say(Severity::warning, "key_without_index", fmt::format("no index begins with {}", name),
          index_statement(*shape_, name));
    }
  }

  void path() {
    const TableShape* child = shape_;
    for (std::size_t i = 0; i < table_->path.size(); ++i) {
      const PathStep& step = table_->path[i];
      const TableShape* parent = schema_.find(step.references);
      if (parent == nullptr) {
        const Table* planned = catalog_.find(step.references);
        if (planned == nullptr || !planned->planned) {
          say(Severity::error, "path_broken",
              fmt::format("its path names {}, which does not exist", to_string(step.references)),
              "name another path, or run a scan");
        }
        return;
      }
      for (const std::string& column : step.columns) {
        if (child->column(column) != nullptr) continue;
        say(Severity::error, "path_broken",
            fmt::format("its path names column {} of {}, which does not exist", column,
                        to_string(child->name)),
            "name another path, or run a scan");
        return;
      }
      step_is_held(i, *child, *parent, step);
      child = parent;
    }
  }

  void step_is_held(std::size_t i, const TableShape& child, const TableShape& parent,
                    const PathStep& step) {
    std::vector<std::string> referenced = step.referenced_columns;
    if (const Index* key = parent.primary_key(); referenced.empty() && key != nullptr)
      referenced = key->columns;
    const bool declared = std::ranges::any_of(child.foreign_keys, [&](const ForeignKey& key) {
      return key.columns == step.columns && key.references == step.references &&
             key.referenced_columns == referenced;
    });
    if (!declared) {
      say(Severity::warning, "path_undeclared",
          fmt::format("no foreign key holds step {} of its path ({})", i + 1, to_string(step)),
          "add the foreign key, NOT VALID first");
    }
    if (referenced.size() != step.columns.size()) {
      say(Severity::error, "path_broken",
          fmt::format("step {} of its path names {} columns, the key of {} has {}", i + 1,
                      step.columns.size(), to_string(parent.name), referenced.size()),
          "name the referenced columns in parentheses");
      return;
    }
    for (std::size_t k = 0; k < referenced.size(); ++k) {
      const Column* mine = child.column(step.columns[k]);
      const Column* its = parent.column(referenced[k]);
      if (its == nullptr) {
        say(Severity::error, "path_broken",
            fmt::format("its path names column {} of {}, which does not exist", referenced[k],
                        to_string(parent.name)),
            "name another path");
      } else if (mine->type != its->type && !comparable(mine->type, its->type)) {
        say(Severity::error, "path_broken",
            fmt::format("column {} is of type {}, column {} of {} is of type {}", mine->name,
                        mine->type, its->name, to_string(parent.name), its->type),
            "name another path");
      } else if (!mine->not_null && table_->table_class == TableClass::organization) {
        say(table_->mode == Mode::enforce ? Severity::error : Severity::warning, "nullable_path",
            fmt::format("column {} of {}, on its path, may be NULL: such a row belongs to nobody",
                        mine->name, to_string(child.name)),
            "set NOT NULL, or give the table a key column of its own");
      }
    }
  }

  void columns() {
    if (!table_->person.empty()) column_exists("person", table_->person, "person_column_missing");
    for (const auto& [column, label] : table_->personal)
      column_exists("personal label", column, "personal_column_missing");
    for (const Link& link : table_->links) {
      if (!column_exists("link", link.column, "link_column_missing")) continue;
      if (link.rule == LinkRule::drop && shape_->column(link.column)->not_null) {
        say(Severity::error, "link_not_null",
            fmt::format("the rule for {} is drop, but the column is NOT NULL", link.column),
            "make the column nullable, or write refuse");
      }
    }
  }

  // The class says one thing, the foreign keys another.
  void contradictions() {
    if (table_->of_organization() || table_->table_class == TableClass::ignored) return;
    for (const ForeignKey& key : shape_->foreign_keys) {
      const Table* parent = catalog_.find(key.references);
      if (parent == nullptr || parent->table_class != TableClass::organization ||
          key.columns.size() != 1)
        continue;
      const bool to_root = catalog_.root && key.references == *catalog_.root;
      const bool always =
          shape_->column(key.columns[0]) != nullptr && shape_->column(key.columns[0])->not_null;
      if (table_->table_class == TableClass::reference &&
          std::ranges::find(table_->links, key.columns[0], &Link::column) == table_->links.end()) {
        say(always && to_root ? Severity::error : Severity::warning, "link_without_rule",
            fmt::format("column {} points into organization data ({}), which does not travel with "
                        "reference rows",
                        key.columns[0], to_string(key.references)),
            fmt::format("write links = {{ {} = \"{}\" }}, or change the class", key.columns[0],
                        always ? "refuse" : "drop"));
      } else if (always && to_root && table_->table_class != TableClass::reference) {
        say(Severity::warning, "class_contradicted",
            fmt::format("every row names an organization in {}, but its class is {}",
                        key.columns[0], to_string(table_->table_class)),
            "make the class organization, or say in a note why not");
      }
    }
  }

  const Catalog& catalog_;
  const Schema& schema_;
  const Table* table_ = nullptr;
  const TableShape* shape_ = nullptr;
  std::vector<Finding> found_;
  std::map<std::string, std::size_t> uncovered_;  // tables by schema
};

}  // namespace

std::vector<Finding> compare(const Catalog& catalog, const Schema& schema) {
  return Comparison(catalog, schema).run();
}

}  // namespace domicile::catalog
