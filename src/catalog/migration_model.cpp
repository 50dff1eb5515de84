#include "catalog/migration_model.h"

#include <algorithm>

namespace domicile::catalog {

using sqltext::Node;

MigratedSchema::MigratedSchema(const Catalog& of, std::vector<std::string> path)
    : search_path(std::move(path)), catalog(of) {
  if (search_path.empty()) {
    const bool only = of.schemas.size() == 1;
    search_path = {only ? of.schemas[0] : std::string("public")};
  }
}

QualifiedName MigratedSchema::created(const Node& range_var) const {
  const std::string schema(range_var.str("schemaname"));
  return {!schema.empty()       ? schema
          : search_path.empty() ? "public"
                                : search_path[0],
          std::string(range_var.str("relname"))};
}

Standing* MigratedSchema::existing(const Node& range_var) {
  const std::string name(range_var.str("relname"));
  if (range_var.has("schemaname")) return find({std::string(range_var.str("schemaname")), name});
  for (const std::string& schema : search_path) {
    if (Standing* found = find({schema, name})) return found;
  }
  return nullptr;
}

QualifiedName MigratedSchema::resolved(const Node& range_var) const {
  auto* found = const_cast<MigratedSchema*>(this)->existing(range_var);
  return found == nullptr ? created(range_var) : found->shape.name;
}

Standing* MigratedSchema::find(const QualifiedName& name) {
  const auto at = tables_.find(name);
  return at == tables_.end() ? nullptr : at->second.get();
}

Standing* MigratedSchema::guarded_root(Standing& standing) {
  Standing* at = &standing;
  for (int depth = 0; at != nullptr && depth < 32; ++depth) {
    if (at->guard != nullptr) return at;
    at = at->shape.parent.name.empty() ? nullptr : find(at->shape.parent);
  }
  return nullptr;
}

std::vector<Standing*> MigratedSchema::parts_of(const Standing& root) {
  std::vector<Standing*> found;
  for (auto& [name, standing] : tables_) {
    if (standing->shape.parent == root.shape.name) found.push_back(standing.get());
  }
  return found;
}

std::vector<Standing*> MigratedSchema::in_schema(const std::string& schema) {
  std::vector<Standing*> found;
  for (auto& [name, standing] : tables_) {
    if (name.schema == schema) found.push_back(standing.get());
  }
  return found;
}

std::vector<Standing*> MigratedSchema::all() {
  std::vector<Standing*> found;
  for (auto& [name, standing] : tables_) found.push_back(standing.get());
  return found;
}

Standing& MigratedSchema::add(Standing standing) {
  auto& slot = tables_[standing.shape.name];
  slot = std::make_unique<Standing>(std::move(standing));
  return *slot;
}

void MigratedSchema::rename(const QualifiedName& from, const QualifiedName& to) {
  auto node = tables_.extract(from);
  if (node.empty()) return;
  node.key() = to;
  node.mapped()->shape.name = to;
  tables_.erase(to);
  tables_.insert(std::move(node));
  for (auto& [name, standing] : tables_) {
    if (standing->shape.parent == from) standing->shape.parent = to;
    for (ForeignKey& key : standing->shape.foreign_keys) {
      if (key.references == from) key.references = to;
    }
  }
}

void MigratedSchema::remove(const QualifiedName& name) {
  const auto at = tables_.find(name);
  if (at == tables_.end()) return;
  tables_.erase(at);
  std::vector<QualifiedName> parts;
  for (auto& [other, standing] : tables_) {
    if (standing->shape.parent == name && standing->shape.relation == Relation::partition)
      parts.push_back(other);
  }
  for (const auto& part : parts) remove(part);
}

void MigratedSchema::arm() {
  for (auto& [name, standing] : tables_) {
    standing->fresh = false;
    if (standing->shape.relation == Relation::partition) continue;
    if (const Table* entry = catalog.find(name)) {
      standing->guard = entry;
      standing->closed = false;
    }
  }
}

std::vector<std::string> strings_of(const Node& list) {
  std::vector<std::string> out;
  for (const Node& item : list.children) {
    if (const auto text = item.string(); !text.empty()) out.emplace_back(text);
  }
  return out;
}

std::vector<std::string> names_of(const Node& list) {
  return strings_of(list.is("List") ? list["items"] : list);
}

std::string type_name(const Node& node) {
  const auto names = strings_of(node["names"]);
  std::string name = names.empty() ? "" : names.back();
  static const std::map<std::string, std::string> plain = {
      {"int8", "bigint"},
      {"int4", "integer"},
      {"int2", "smallint"},
      {"bigserial", "bigint"},
      {"serial8", "bigint"},
      {"serial", "integer"},
      {"serial4", "integer"},
      {"smallserial", "smallint"},
      {"varchar", "character varying"},
      {"bpchar", "character"},
      {"bool", "boolean"},
      {"float8", "double precision"},
      {"float4", "real"},
      {"timestamptz", "timestamp with time zone"},
      {"timestamp", "timestamp without time zone"},
      {"timetz", "time with time zone"},
      {"varbit", "bit varying"}};
  if (const auto at = plain.find(name); at != plain.end()) name = at->second;
  if (node.has("arrayBounds")) name += "[]";
  return name;
}

void collect(const Node& from, std::string_view type, std::vector<const Node*>& found) {
  if (from.is(type)) found.push_back(&from);
  for (const Node& child : from.children) collect(child, type, found);
}

}  // namespace domicile::catalog
