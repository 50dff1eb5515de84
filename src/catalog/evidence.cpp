#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/classify.h"
#include "catalog/doubts.h"
#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

class Scale {
 public:
  void weigh(int points, std::string why) {
    evidence_.score += points;
    if (points > 0)
      evidence_.why.push_back(std::move(why));
    else if (points < 0)
      against_.push_back(std::move(why));
  }
  // A reason of its own to call the rows shared; shape alone (few columns, a small key) is none.
  void ground(int points, std::string why) {
    grounded_ = grounded_ || points > 0;
    weigh(points, std::move(why));
  }
  ReferenceEvidence result() {
    if (!grounded_ && evidence_.score > kUngroundedMax) evidence_.score = kUngroundedMax;
    for (std::string& why : against_) evidence_.why.push_back("but " + why);
    return std::move(evidence_);
  }

 private:
  static constexpr int kUngroundedMax = 2;  // not enough for anything
  ReferenceEvidence evidence_;
  std::vector<std::string> against_;
  bool grounded_ = false;
};

// Where keys are given by the database, a key that is not was given by those who wrote the list.
bool numbered_by_hand(const Graph& graph, std::size_t at, const Column& key) {
  if (key.has_default) return false;
  const bool borrowed = std::ranges::any_of(graph.out[at], [&](std::size_t e) {
    return graph.edges[e].step.columns == std::vector{key.name};
  });
  if (borrowed) return false;
  int given = 0;
  int all = 0;
  for (std::size_t i = 0; i < graph.tables.size(); ++i) {
    const Index* index = graph.tables[i]->primary_key();
    const Column* other = index == nullptr || index->columns.size() != 1
                              ? nullptr
                              : graph.tables[i]->column(index->columns[0]);
    if (other == nullptr || family_of(other->type) != family_of(key.type)) continue;
    ++all;
    given += other->has_default ? 1 : 0;
  }
  return all >= 4 && given * 10 >= all * 5;
}

// Lists are often numbered by hand or named by a word, while data has keys of the common kind.
// How the key speaks for a list: 1 for a word, 2 for a small number beside larger ones.
int key_of_a_list(const Graph& graph, std::size_t at, const Root& root) {
  const TableShape& table = *graph.tables[at];
  const Index* key = table.primary_key();
  const Column* column =
      key == nullptr || key->columns.size() != 1 ? nullptr : table.column(key->columns[0]);
  if (column == nullptr) return 0;
  const auto words = words_of(column->name);
  const bool opaque =
      !words.empty() && (words.back() == "id" || words.back() == "token" || words.back() == "key" ||
                         words.back() == "uuid" || words.back() == "hash");
  if (family_of(column->type) == TypeFamily::text) return opaque ? 0 : 1;
  const bool small = column->type == "integer" || column->type == "smallint";
  if (small && root.type != "integer" && root.type != "smallint") return 2;
  if (column->type == "smallint" && root.type != "smallint") return 2;
  return numbered_by_hand(graph, at, *column) ? 2 : 0;
}

// A date that is neither the key (a calendar) nor about the row's own life or validity.
bool happens(const TableShape& table) {
  static const std::set<std::string_view> kOwnLife = {
      "created", "updated", "modified", "inserted", "deleted", "changed",   "valid",    "effective",
      "from",    "until",   "to",       "start",    "end",     "published", "archived", "von",
      "bis",     "ab",      "desde",    "hasta",    "debut",   "fin"};
  const Index* key = table.primary_key();
  return std::ranges::any_of(table.columns, [&](const Column& column) {
    if (column.type != "date" && !column.type.starts_with("timestamp")) return false;
    if (key != nullptr && std::ranges::find(key->columns, column.name) != key->columns.end())
      return false;
    return std::ranges::none_of(words_of(column.name), [](const std::string& word) {
      return kOwnLife.contains(word) || kOwnLife.contains(singular(word));
    });
  });
}

bool has_text(const TableShape& table) {
  return std::ranges::any_of(table.columns,
                             [](const Column& c) { return family_of(c.type) == TypeFamily::text; });
}

// Postal codes and towns with their coordinates, and nobody who lives there.
bool lists_places(const TableShape& table) {
  bool key = false;
  for (const Column& column : table.columns) {
    const auto label = personal_label(column, about_people(table));
    if (!label.empty() && label != "address" && label != "location") return false;
    const auto words = words_of(column.name);
    for (std::string_view word :
         {"street", "strasse", "str", "addr", "address", "address1", "line1"})
      if (std::ranges::find(words, word) != words.end()) return false;
    const Index* primary = table.primary_key();
    key = key || (label == "address" && primary != nullptr &&
                  std::ranges::find(primary->columns, column.name) != primary->columns.end());
  }
  return key && !about_people(table);
}

// Where something is, roughly: courts and airports have one, and nobody lives there.
bool postal_code(const Column& column) {
  static const std::set<std::string_view> kPostal = {"plz", "zip",     "postcode", "pcode",
                                                     "cep", "zipcode", "cp"};
  const auto words = words_of(column.name);
  return !words.empty() && (kPostal.contains(words.back()) || joined(words) == "postal_code");
}

void weigh_columns(Scale& scale, const Graph& graph, std::size_t at, const Root& root) {
  const TableShape& table = *graph.tables[at];
  bool code = false;
  bool label = false;
  const bool places = lists_places(table);
  const bool text = has_text(table);
  int content = 0;
  for (const Column& column : table.columns) {
    const auto personal = personal_label(column, about_people(table));
    if (personal == "address" && !about_people(table) && postal_code(column)) continue;
    if (!personal.empty() && !(places && (personal == "address" || personal == "location")))
      scale.weigh(-8, fmt::format("column {} looks personal", column.name));
    if (content_column(column)) ++content;
    if (column.type == "json" || column.type == "jsonb") ++content;
    const auto words = words_of(column.name);
    code = code || (!words.empty() && (words.back() == "code" || words.back() == "slug" ||
                                       words.back() == "symbol" || words.front() == "iso" ||
                                       words.back() == "key" || words.back() == "codename"));
    code = code || column.type == "character";  // char(n): codes, hardly ever anything else
    label = label || (!words.empty() && words.back() == "name") || column.name == "title" ||
            column.name == "label" || column.name == "description" ||
            column.name.starts_with("name_") || column.name.ends_with("Name");
  }
  if (happens(table)) scale.weigh(-2, "its rows have a date: they look like things that happened");
  if (content > 0)
    scale.weigh(-2 * std::min(content, 2), "it holds content (bodies, files, amounts or tokens)");
  if (code && table.columns.size() <= 14) scale.weigh(2, "it has a code or slug");
  // In a language that we do not read, a few columns with one text are as much as a name.
  label = label || (text && table.columns.size() <= 4);
  if (label && content == 0 && table.columns.size() <= 4)
    scale.weigh(1, "hardly more than a name");
  else if (label && table.columns.size() <= 9)
    scale.weigh(1, "few columns, with a name or label");
  const int key = key_of_a_list(graph, at, root);
  scale.weigh(key, key == 1 ? "its key is a word of its own"
                            : "its key is not numbered like those of the rest");
  if (!polymorphic_pairs(table).empty())
    scale.weigh(-8, "it points at rows of several tables by type and id");
  const bool stamped = std::ranges::any_of(table.columns, [](const Column& c) {
    return c.name.starts_with("created") || c.name.starts_with("inserted_at");
  });
  if (!stamped) scale.weigh(1, "it has no creation time");
  if (table.rows >= 0 && table.rows > 200'000)
    scale.weigh(-4, fmt::format("it has about {:.0f} rows", table.rows));
  else if (table.rows > 0 && table.rows <= 20'000)
    scale.weigh(1, fmt::format("it is small, about {:.0f} rows", table.rows));
}

// Days with a name, and nothing that was counted on them.
bool calendar(const TableShape& table) {
  const Index* key = table.primary_key();
  if (key == nullptr || table.columns.size() > 5) return false;
  const auto a_day = [&](const std::string& name) {
    const Column* column = table.column(name);
    return column != nullptr && column->type == "date";
  };
  const bool numbered = key->columns.size() == 1 && table.column(key->columns[0])->has_default;
  const bool day = std::ranges::any_of(table.indexes, [&](const Index& index) {
    return index.unique && index.complete && (index.primary || numbered) &&
           std::ranges::any_of(index.columns, a_day);
  });
  return day && std::ranges::all_of(table.columns, [&](const Column& column) {
           return column.type == "date" || (numbered && column.name == key->columns[0]) ||
                  column.type == "boolean" || family_of(column.type) == TypeFamily::text;
         });
}

// (role, permission) between a list and a table that may be one: the edge to the latter.
bool joins_lists(const Graph& graph, std::size_t to, const std::vector<Verdict>& verdicts) {
  const std::size_t join = graph.edges[to].from;
  bool lists = false;
  for (std::size_t e : graph.out[join]) {
    if (e == to) continue;
    const Verdict& other = verdicts[graph.edges[e].to];
    if (!other.done || other.table_class != TableClass::reference) return false;
    lists = true;
  }
  return lists && graph.edges[to].identifying;
}

// PRIMARY KEY (customer, part): one row for each organization and part, so that a part is no single
// organization's. Days may stand in the key as well: prices have a date.
bool once_for_each_organization(const Graph& graph, const Edge& edge, const Verdict& child) {
  if (!child.of_organization() || !child.way || !child.way->steps.empty() || !edge.not_null)
    return false;
  const TableShape& table = *graph.tables[edge.from];
  return std::ranges::any_of(table.indexes, [&](const Index& index) {
    if (!index.unique || !index.complete) return false;
    bool key = false;
    std::size_t of_edge = 0;
    for (const std::string& name : index.columns) {
      const Column* column = table.column(name);
      if (name == child.way->key) {
        key = true;
      } else if (std::ranges::find(edge.step.columns, name) != edge.step.columns.end()) {
        ++of_edge;
      } else if (column == nullptr || column->type != "date") {
        return false;
      }
    }
    return key && of_edge == edge.step.columns.size();
  });
}

// Few columns, nothing that happened, and each row names a row of a list.
bool always_of_a_list(const Graph& graph, std::size_t at, const std::vector<Verdict>& verdicts) {
  const TableShape& table = *graph.tables[at];
  if (table.columns.size() > 6 || happens(table)) return false;
  const bool content = std::ranges::any_of(table.columns, [](const Column& column) {
    return content_column(column) || column.type.starts_with("timestamp") || column.type == "jsonb";
  });
  return !content && std::ranges::any_of(graph.out[at], [&](std::size_t e) {
    const Verdict& parent = verdicts[graph.edges[e].to];
    const bool always = graph.edges[e].not_null || graph.optional_links >= kOptionalByHabit;
    return always && parent.done && parent.table_class == TableClass::reference;
  });
}

void weigh_neighbours(Scale& scale, const Graph& graph, const Root& root, std::size_t at,
                      const std::vector<Verdict>& verdicts) {
  std::size_t users = 0;
  bool one_to_one = false;
  bool hangs = false;
  for (std::size_t e : graph.in[at]) {
    const Edge& edge = graph.edges[e];
    const Verdict& child = verdicts[edge.from];
    if (key_of_a_list(graph, at, root) > 0 && once_for_each_organization(graph, edge, child))
      scale.ground(4, fmt::format("{} has one row for each organization and row of it",
                                  to_string(graph.tables[edge.from]->name)));
    if (edge.actor || (!child.done && !joins_lists(graph, e, verdicts))) continue;
    ++users;
    hangs = hangs || (edge.not_null && child.done && child.table_class == TableClass::reference);
    one_to_one = one_to_one || (edge.unique && child.of_organization());
  }
  // One table may well have taken its own rows apart; several agree on a list.
  const std::string used =
      fmt::format("{} classified table{} at it", users, users == 1 ? " points" : "s point");
  if (users > 1 || (users == 1 && key_of_a_list(graph, at, root) > 0))
    scale.ground(users >= 3 ? 3 : 2, used);
  else if (users == 1 && !hangs)
    scale.weigh(2, used);
  if (hangs && users == 1) scale.ground(4, "each row of a list names one of its rows");
  if (one_to_one) scale.weigh(-5, "an organization table uses each of its rows once");
  std::size_t to_reference = 0;
  bool elsewhere = false;
  for (std::size_t e : graph.out[at]) {
    const Edge& edge = graph.edges[e];
    const Verdict& parent = verdicts[edge.to];
    if (parent.done && parent.table_class == TableClass::reference)
      ++to_reference;
    else if (!edge.actor)
      elsewhere = true;
    if (edge.actor && edge.not_null)
      scale.weigh(-2, fmt::format("{} is always set", edge.step.columns[0]));
    if (!edge.actor && parent.done && parent.table_class == TableClass::person)
      scale.weigh(-3, fmt::format("{} names a person", edge.step.columns[0]));
    if (!edge.actor && parent.of_organization())
      scale.weigh(-3, fmt::format("{} can point into organization data", edge.step.columns[0]));
  }
  if (to_reference > 0 && !elsewhere) {
    const bool part = std::ranges::any_of(graph.out[at], [&](std::size_t e) {
      return graph.edges[e].identifying || graph.edges[e].cascade;
    });
    const std::string lists = "it hangs on reference tables only";
    if (part)
      scale.ground(to_reference > 1 ? 5 : 4, "it is a part of reference tables");
    else if (always_of_a_list(graph, at, verdicts))
      scale.ground(4, lists + ", always, and is small");
    else
      scale.weigh(to_reference > 1 ? 4 : 3, lists);
  }
}

// Tables of one part of the application, by its schema or by a prefix of their names, are alike: two
// lists and nothing of anybody's.
bool among_lists(const Graph& graph, std::size_t at, const std::vector<Verdict>& verdicts) {
  const auto part = [&](std::size_t i) {
    const auto words = words_of(graph.tables[i]->name.name);
    return graph.tables[i]->name.schema + "." + (words.size() > 1 ? words[0] : "");
  };
  const std::string mine = part(at);
  if (mine.ends_with('.')) return false;
  int lists = 0;
  int all = 0;
  for (std::size_t i = 0; i < graph.tables.size(); ++i) {
    if (part(i) != mine) continue;
    ++all;
    const Verdict& v = verdicts[i];
    if (!v.done) continue;
    if (v.table_class != TableClass::reference) return false;
    ++lists;
  }
  return lists >= 2 && lists * 4 >= all;
}

void weigh_facts(Scale& scale, const Facts& facts) {
  if (facts.used_by_several > 0 && facts.used_by_several * 5 >= facts.used_rows) {
    scale.ground(5, fmt::format("{} of {} used rows are used by several organizations",
                                facts.used_by_several, facts.used_rows));
  } else if (facts.used_rows >= 10 && facts.organizations >= 3 && facts.used_by_several == 0) {
    scale.weigh(
        -8, fmt::format("each of {} used rows is used by one organization alone", facts.used_rows));
  }
}

}  // namespace

ReferenceEvidence reference_evidence(const Graph& graph, const Root& root, std::size_t table,
                                     const std::vector<Verdict>& verdicts,
                                     const FactsByTable& facts) {
  Scale scale;
  const TableShape& shape = *graph.tables[table];
  const int named = lookup_weight(shape.name.name);
  if (named > 0)
    scale.ground(named, "its name is that of a list which is the same everywhere");
  else if (named < 0)
    scale.weigh(named, "its name is that of things which people make");
  static const std::set<std::string_view> kListSchemas = {
      "ref",        "reference",  "lookup",       "lookups",  "static",
      "codes",      "masterdata", "dict",         "dicts",    "dictionary",
      "lov",        "enums",      "nomenclature", "refdata",  "reference_data",
      "stammdaten", "codelists",  "catalogos",    "catalogue"};
  if (kListSchemas.contains(shape.name.schema)) scale.ground(4, "its schema is one of lists");
  if (among_lists(graph, table, verdicts))
    scale.ground(3, "the tables of its part of the application are lists");
  if (calendar(shape)) scale.ground(4, "its key is a day: a calendar");
  weigh_columns(scale, graph, table, root);
  weigh_neighbours(scale, graph, root, table, verdicts);
  if (!has_text(shape) && graph.out[table].empty())
    scale.weigh(-4, "nothing in it is a name or a code");
  for (const std::string& column : unresolved_columns(graph, root, table))
    scale.weigh(-6, fmt::format("{} names a row of a table that was not found", column));
  for (const std::string& doubt : doubts_about(graph, root, table, verdicts))
    scale.weigh(-20, doubt);
  if (const auto known = facts.find(shape.name); known != facts.end())
    weigh_facts(scale, known->second);
  return scale.result();
}

}  // namespace domicile::catalog
