// The schema as migrations leave it, statement after statement: what stands, under which name, and
// whether the guard stands on it. Internal to migration_check.h.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catalog/schema.h"
#include "sqltext/parse.h"

namespace domicile::catalog {

struct Place {
  std::string path;
  std::size_t line = 0;
};

// A relation that exists. It keeps its identity when it is renamed, and so does the guard on it.
struct Standing {
  TableShape shape;              // as far as it is known; name is the present one
  bool columns_known = false;    // made by a migration that was followed
  const Table* guard = nullptr;  // the catalog's entry that the guard was applied from
  bool closed = false;           // row security on and forced, no policy, no grant to others
  bool fresh = false;            // made in the migration that is being judged
  QualifiedName like;            // made LIKE this guarded table, with its CHECK
  Place made;
  Place touched;          // the statement that opened or renamed it last
  std::string opened_by;  // what it did

  bool enforced() const { return guard != nullptr && guard->mode == Mode::enforce; }
  // Row security stands on it: reference tables have triggers only.
  bool secured() const { return enforced() && guard->table_class != TableClass::reference; }
};

class MigratedSchema {
 public:
  MigratedSchema(const Catalog& catalog, std::vector<std::string> search_path);

  // What a name in a statement means. `existing` looks along the search path and may be null;
  // `created` is the name that a CREATE gives.
  Standing* existing(const sqltext::Node& range_var);
  QualifiedName resolved(const sqltext::Node& range_var) const;  // existing, or as created
  QualifiedName created(const sqltext::Node& range_var) const;
  Standing* find(const QualifiedName& name);
  // The guarded table that this one is a part of (partition or heir), or itself; null for none.
  Standing* guarded_root(Standing& standing);
  std::vector<Standing*> parts_of(const Standing& root);
  std::vector<Standing*> in_schema(const std::string& schema);
  std::vector<Standing*> all();

  Standing& add(Standing standing);
  void rename(const QualifiedName& from, const QualifiedName& to);
  void remove(const QualifiedName& name);
  // `region init` ran: what the catalog lists is guarded now.
  void arm();

  std::vector<std::string> search_path;
  const Catalog& catalog;

 private:
  std::map<QualifiedName, std::unique_ptr<Standing>> tables_;
};

// From a String list ("schema", "name") or a List node; name only when there is no schema.
std::vector<std::string> names_of(const sqltext::Node& list);
std::string type_name(const sqltext::Node& type_name_node);  // "bigint", as format_type() has it
std::vector<std::string> strings_of(const sqltext::Node& list);
// All nodes of a type in the tree below, in order.
void collect(const sqltext::Node& from, std::string_view type,
             std::vector<const sqltext::Node*>& found);

}  // namespace domicile::catalog
