// What a column's name says about other tables: pairs of type and number, identifiers of others.
#include <algorithm>
#include <array>
#include <set>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

using Words = std::set<std::string_view>;
using Column = catalog::Column;

const Words kIdentifier = {"id", "uuid", "guid", "key", "pk", "uid"};
const Words kKind = {"type", "kind", "class", "model", "table", "entity"};

bool names_a_kind(const Column& column) {
  return column.type != "boolean" && family_of(column.type) != TypeFamily::uuid &&
         column.type != "bigint" && !column.type.starts_with("timestamp");
}

// "commentable", of commentable_id and of commentable_type.
struct Parts {
  std::string stem;
  std::string last;
};

Parts parts_of(std::string_view name) {
  auto words = words_of(name);
  if (words.empty()) return {};
  Parts parts;
  parts.last = words.back();
  words.pop_back();
  parts.stem = joined(words);
  return parts;
}

bool declared(const TableShape& table, const std::string& column) {
  return std::ranges::any_of(table.foreign_keys, [&](const ForeignKey& key) {
    return std::ranges::find(key.columns, column) != key.columns.end();
  });
}

// The column that says of which kind the row is that `id` names: commentable_type, model, table_name.
const Column* kind_column(const TableShape& table, const Column& id) {
  static const Words kAnyRow = {"row",  "record", "object", "entity",    "res",     "resource",
                                "item", "target", "ref",    "aggregate", "subject", "model"};
  static const Words kAnyKind = {"table_name",  "table",      "model",          "entity",
                                 "entity_name", "class_name", "model_name",     "object_class",
                                 "relation",    "res_model",  "content_type_id"};
  const Parts mine = parts_of(id.name);
  for (const Column& column : table.columns) {
    if (&column == &id || !names_a_kind(column)) continue;
    const Parts other = parts_of(column.name);
    if (!mine.stem.empty() && other.stem == mine.stem && kKind.contains(other.last)) return &column;
    const std::string whole = joined(words_of(column.name));
    // `type` beside `type_id`, `entity` beside `entity_id`.
    if (whole == mine.stem && kKind.contains(whole) && kIdentifier.contains(mine.last))
      return &column;
    if (kAnyRow.contains(mine.stem) && kAnyKind.contains(whole)) return &column;
  }
  return nullptr;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> polymorphic_pairs(const TableShape& table) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Column& column : table.columns) {
    const Parts parts = parts_of(column.name);
    if (parts.stem.empty() || !kIdentifier.contains(parts.last)) continue;
    const Index* key = table.primary_key();
    const bool own = key != nullptr && key->columns == std::vector{column.name};
    if (own || declared(table, column.name) || column.name == "content_type_id") continue;
    if (const Column* kind = kind_column(table, column))
      pairs.emplace_back(kind->name, column.name);
  }
  if (pairs.empty() && table.column("content_type_id") != nullptr &&
      table.column("object_pk") != nullptr)
    pairs.emplace_back("content_type_id", "object_pk");
  return pairs;
}

bool names_a_row(const Column& column, TypeFamily of_keys) {
  const auto words = words_of(column.name);
  if (words.size() < 2) return false;
  const TypeFamily family = family_of(column.type);
  if (names_a_deed(words)) return false;  // whoever made a row of a list does not own it
  if (family == TypeFamily::uuid) return true;
  if (!kIdentifier.contains(words.back()) || words.back() == "key") return false;
  return family == TypeFamily::integer || (family == TypeFamily::text && of_keys == family);
}

bool names_a_pointer(std::string_view column) {
  static const Words kNow = {"default",  "current", "last",    "active",
                             "selected", "latest",  "primary", "preferred"};
  const auto words = words_of(column);
  return words.size() > 2 && kNow.contains(words.front());
}

bool names_a_measure(std::string_view column) {
  static const Words kMeasures = {
      "qty",      "quantity", "count",  "amount",  "amt",    "total",    "sum",       "price",
      "year",     "month",    "day",    "week",    "hour",   "minute",   "minutes",   "second",
      "seconds",  "size",     "length", "width",   "height", "weight",   "sort",      "order",
      "position", "pos",      "seq",    "line",    "rank",   "level",    "lvl",       "pri",
      "priority", "score",    "rating", "version", "rev",    "revision", "capacity",  "duration",
      "age",      "percent",  "pct",    "max",     "min",    "num",      "attempt",   "attempts",
      "retries",  "status",   "state",  "type",    "kind",   "flags",    "jahr",      "monat",
      "tag",      "anzahl",   "anz",    "menge",   "zeile",  "lfd",      "ejercicio", "mes",
      "dia",      "cantidad", "orden",  "linea",   "annee",  "mois",     "jour",      "quantite",
      "ligne",    "ordre",    "beds",   "sqft",    "rc",     "gap",      "step",      "page",
      "port"};
  const auto words = words_of(column);
  return std::ranges::any_of(words,
                             [](const std::string& word) { return kMeasures.contains(word); });
}

bool mentions_organization(std::string_view column) {
  const auto words = words_of(column);
  return std::ranges::any_of(
      words, [](const std::string& word) { return organization_weight(word) >= 8; });
}

std::optional<std::string> shadowed_name(std::string_view table) {
  static const Words kShadow = {
      "aud",      "audit",   "audits",   "history",   "histories", "hist",   "log",  "logs",
      "versions", "archive", "archived", "backup",    "bak",       "old",    "copy", "deleted",
      "trash",    "shadow",  "changes",  "changelog", "revisions", "journal"};
  auto words = words_of(table);
  if (words.size() < 2) return std::nullopt;
  if (kShadow.contains(words.back())) {
    words.pop_back();
  } else if (kShadow.contains(words.front())) {
    words.erase(words.begin());
  } else {
    return std::nullopt;
  }
  words.back() = singular(words.back());
  return joined(words);
}

}  // namespace domicile::catalog
