#include "catalog/column_targets.h"

#include <algorithm>
#include <set>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

constexpr std::size_t npos = static_cast<std::size_t>(-1);

const Column* key_of(const TableShape& table) {
  const Index* key = table.primary_key();
  return key == nullptr || key->columns.size() != 1 ? nullptr : table.column(key->columns[0]);
}

// A key's name that says of itself what it identifies: cust_no, CompanyID, fno; not id or code.
bool telling(const Column& key) {
  static const std::set<std::string_view> kGeneric = {
      "id",     "uuid",       "guid",   "key",   "pk",    "no",     "nr",      "num",   "number",
      "code",   "cd",         "seq",    "name",  "title", "slug",   "value",   "token", "version",
      "type",   "kind",       "status", "date",  "day",   "year",   "rev",     "n",     "oid",
      "ref",    "email",      "login",  "label", "text",  "hash",   "path",    "url",   "clave",
      "codigo", "schluessel", "param",  "par",   "nom",   "nombre", "position"};
  static const std::set<std::string_view> kIdentifier = {
      "id", "uuid", "key", "no", "nr", "cd", "kz", "code", "number", "ref", "num", "guid"};
  const auto words = words_of(key.name);
  if (words.empty() || (words.size() == 1 && kGeneric.contains(words[0]))) return false;
  const TypeFamily family = family_of(key.type);
  if (family == TypeFamily::other) return false;
  // A text may hold anything; what is short and fixed, a number or a uuid is an identifier.
  if (family == TypeFamily::text && key.type != "character")
    return words.size() > 1 ? kIdentifier.contains(words.back())
                            : words[0].size() > 4 && words[0].ends_with("id");
  return true;
}

bool subsequence(std::string_view part, std::string_view whole) {
  std::size_t at = 0;
  for (char c : whole) at += at < part.size() && part[at] == c;
  return at == part.size();
}

std::size_t only(const std::vector<std::size_t>& found) {
  return found.size() == 1 ? found[0] : npos;
}

}  // namespace

ColumnTargets::ColumnTargets(const std::vector<const TableShape*>& tables) : tables_(tables) {
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const std::string& name = tables_[i]->name.name;
    words_.push_back(words_of(name));
    if (!words_[i].empty()) words_[i].back() = singular(words_[i].back());
    by_noun_[head_noun(name)].push_back(i);
    if (user_weight(name) >= 7) users_.push_back(i);
    if (const Column* key = key_of(*tables_[i]); key != nullptr && telling(*key))
      by_key_[key->name].push_back(i);
  }
}

bool ColumnTargets::fits(std::size_t to, const Column& column) const {
  const Column* key = key_of(*tables_[to]);
  return key != nullptr && comparable(key->type, column.type);
}

// The table whose primary key has the same name, as in `svc_job.cust_no` and `customer.cust_no`.
std::size_t ColumnTargets::same_key(std::size_t from, const Column& column) const {
  const auto at = by_key_.find(column.name);
  if (at == by_key_.end()) return npos;
  Places found;
  for (std::size_t to : at->second) {
    // A table whose own key is itself another table's is no list of its own.
    const bool borrowed = std::ranges::any_of(
        tables_[to]->foreign_keys,
        [&](const ForeignKey& key) { return key.columns == std::vector{column.name}; });
    if (to != from && !borrowed && fits(to, column)) found.push_back(to);
  }
  const std::string first = words_of(column.name).front();
  if (found.size() > 1)
    std::erase_if(found, [&](std::size_t to) {
      return !head_noun(tables_[to]->name.name).starts_with(first);
    });
  // Its own key by name: `customer.cust_no` is not another table's.
  const Column* key = key_of(*tables_[from]);
  const bool own = key != nullptr && key->name == column.name &&
                   head_noun(tables_[from]->name.name).starts_with(first.substr(0, 3));
  return own ? npos : only(found);
}

// `bill_cust_no` and `from_acct_id` beside keys called cust_no and acct_id.
std::size_t ColumnTargets::key_with_a_role(std::size_t from, const Column& column) const {
  auto words = words_of(column.name);
  Places found;
  while (words.size() > 2 && found.empty()) {
    words.erase(words.begin());
    for (const auto& [name, places] : by_key_) {
      if (words_of(name) != words) continue;
      for (std::size_t to : places) {
        if (to != from && fits(to, column)) found.push_back(to);
      }
    }
  }
  return only(found);
}

// `bancoCodigo` beside banco (codigo), `country_iso` beside countries (iso2), `gefahrgut_un` beside
// gefahrgut (un_nr): the table's name and then the key's, or how that begins.
std::size_t ColumnTargets::table_and_key(std::size_t from, const Column& column) const {
  const auto words = words_of(column.name);
  if (words.size() < 2) return npos;
  Places found;
  for (std::size_t to = 0; to < tables_.size(); ++to) {
    if (to == from || !fits(to, column) || words_[to].empty()) continue;
    const auto key = words_of(key_of(*tables_[to])->name);
    if (key.empty() || key.front() == "id" || !key.front().starts_with(words.back())) continue;
    const std::vector<std::string> stem(words.begin(), words.end() - 1);
    if (stem.size() > words_[to].size()) continue;
    auto singular_stem = stem;
    singular_stem.back() = singular(singular_stem.back());
    if (std::ranges::equal(singular_stem.rbegin(), singular_stem.rend(), words_[to].rbegin(),
                           words_[to].rbegin() + static_cast<std::ptrdiff_t>(stem.size())))
      found.push_back(to);
  }
  return only(found);
}

// A bare `land` beside land (iso2): only where both are short codes, for texts are mostly names.
std::size_t ColumnTargets::word_of_a_list(std::size_t from, const Column& column) const {
  if (column.type != "character") return npos;
  const auto words = words_of(column.name);
  Places found;
  for (std::size_t to = 0; to < tables_.size(); ++to) {
    if (to == from || words.empty() || !fits(to, column) ||
        key_of(*tables_[to])->type != "character")
      continue;
    if (joined(words_[to]) == joined(words) ||
        (words.size() == 1 && !words_[to].empty() && words_[to].back() == words[0]))
      found.push_back(to);
  }
  return only(found);
}

// `mgr_firm` beside pm_firm, when it is no count of them.
std::size_t ColumnTargets::bare_role(std::size_t from, const Column& column) const {
  static const std::set<std::string_view> kAmounts = {
      "num",    "count", "total", "max",    "min",      "qty",    "number", "limit",
      "size",   "sum",   "avg",   "per",    "of",       "is",     "has",    "anz",
      "anzahl", "menge", "nb",    "nombre", "cantidad", "default"};
  const auto words = words_of(column.name);
  if (words.size() < 2 || family_of(column.type) == TypeFamily::text) return npos;
  const bool amount =
      std::ranges::any_of(words, [](const std::string& word) { return kAmounts.contains(word); });
  if (amount && family_of(column.type) == TypeFamily::integer) return npos;
  const auto named = by_noun_.find(words.back());
  if (named == by_noun_.end()) return npos;
  Places found;
  for (std::size_t to : named->second) {
    if (to != from && fits(to, column) && words_[to].size() <= 2) found.push_back(to);
  }
  return only(found);
}

// `emp_id`, `dept_id`, `acct_id` beside employees, departments, accounts.
std::size_t ColumnTargets::abbreviated(std::size_t from, const Column& column) const {
  auto words = words_of(column.name);
  if (words.size() != 2 || (words[1] != "id" && words[1] != "no" && words[1] != "nr")) return npos;
  const std::string& stem = words[0];
  if (stem.size() < 3 || stem == "parent") return npos;
  Places prefix;
  Places within;
  for (std::size_t to = 0; to < tables_.size(); ++to) {
    if (to == from || !fits(to, column) || words_[to].empty()) continue;
    const std::string& noun = words_[to].back();
    if (noun.size() <= stem.size() || noun[0] != stem[0]) continue;
    if (noun.starts_with(stem))
      prefix.push_back(to);
    else if (subsequence(stem, noun))
      within.push_back(to);
  }
  if (!prefix.empty()) {
    // An employee before an employee's address: the table of one word is meant.
    if (prefix.size() > 1)
      std::erase_if(prefix, [&](std::size_t to) { return words_[to].size() > 1; });
    return only(prefix);
  }
  return only(within);
}

// `teamid` beside teams, `categoryid` beside sidebarcategories.
std::size_t ColumnTargets::run_together(std::size_t from, const Column& column) const {
  const auto words = words_of(column.name);
  if (words.size() != 1) return npos;
  std::string stem = words[0];
  for (std::string_view end : {"uuid", "id"}) {
    if (!stem.ends_with(end) || stem.size() < end.size() + 3) continue;
    stem.resize(stem.size() - end.size());
    Places whole;
    Places part;
    for (std::size_t to = 0; to < tables_.size(); ++to) {
      if (to == from || !fits(to, column) || words_[to].empty()) continue;
      std::string squashed;
      for (const std::string& word : words_[to]) squashed += word;
      if (squashed == stem)
        whole.push_back(to);
      else if (stem.size() >= 4 && squashed.ends_with(stem))
        part.push_back(to);
    }
    if (whole.size() == 1) return whole[0];
    if (whole.empty() && part.size() == 1) return part[0];
    if (whole.empty() && names_an_actor(stem + "_id")) return only_user(column);
    return npos;
  }
  return npos;
}

std::size_t ColumnTargets::target_of(std::size_t from, const Column& column) const {
  if (const std::size_t same = same_key(from, column); same != npos) return same;
  if (const std::size_t to = by_name(from, column); to != npos) return to;
  for (const auto find :
       {&ColumnTargets::key_with_a_role, &ColumnTargets::table_and_key,
        &ColumnTargets::word_of_a_list, &ColumnTargets::bare_role, &ColumnTargets::abbreviated}) {
    if (const std::size_t to = (this->*find)(from, column); to != npos) return to;
  }
  return npos;
}

std::vector<std::pair<std::size_t, std::vector<std::string>>> ColumnTargets::composite_targets(
    std::size_t from) const {
  static const std::set<std::string_view> kGeneric = {"id",  "rev",      "version", "seq",   "type",
                                                      "key", "revision", "lang",    "locale"};
  const TableShape& table = *tables_[from];
  const Index* mine = table.primary_key();
  std::vector<std::pair<std::size_t, std::vector<std::string>>> out;
  for (std::size_t to = 0; to < tables_.size(); ++to) {
    const Index* key = tables_[to]->primary_key();
    if (to == from || key == nullptr || key->columns.size() < 2) continue;
    const bool all = std::ranges::all_of(key->columns, [&](const std::string& name) {
      const Column* here = table.column(name);
      const bool words = here != nullptr && here->type == "character varying" && !telling(*here);
      return here != nullptr && !words && here->type != "text" && !kGeneric.contains(name) &&
             comparable(here->type, tables_[to]->column(name)->type);
    });
    // With the same key they are siblings, and so are two tables that both have it.
    if (!all || (mine != nullptr && mine->columns == key->columns)) continue;
    std::erase_if(out, [&](const auto& other) { return other.second == key->columns; });
    out.emplace_back(to, key->columns);
  }
  return out;
}

// The one table that the column's name means, if there is exactly one.
std::size_t ColumnTargets::by_name(std::size_t from, const Column& column) const {
  static const std::set<std::string_view> kSuffixes = {"id", "uuid", "key", "guid", "no", "nr",
                                                       "cd", "code", "ref", "fk",   "uid"};
  auto words = words_of(column.name);
  const bool suffixed = words.size() > 1 && kSuffixes.contains(words.back());
  const bool by = words.size() == 2 && words.back() == "by";
  if (by || (suffixed && names_an_actor(column.name))) {
    if (const std::size_t user = only_user(column); user != npos) return user;
  }
  if (!suffixed) {
    const std::size_t together = run_together(from, column);
    if (together != npos) return together;
    // A bare `customer uuid`; a text column of that name is more often a name.
    if (words.empty() || family_of(column.type) == TypeFamily::text) return npos;
  } else {
    words.pop_back();
  }
  if (words == std::vector<std::string>{"parent"}) return fits(from, column) ? from : npos;
  const std::size_t to = named_after(from, column, words, suffixed);
  // country_code names a table whose key is a code; line_no is no row of lines (id).
  static const std::set<std::string_view> kNatural = {"no", "nr", "cd", "code", "ref"};
  const std::string suffix = words_of(column.name).back();
  const bool natural = to != npos && kNatural.contains(suffix) &&
                       words_of(key_of(*tables_[to])->name).back() != suffix;
  return natural ? npos : to;
}

// Longest match first: `order_item_id` means order_items before it means items.
std::size_t ColumnTargets::named_after(std::size_t from, const Column& column,
                                       const std::vector<std::string>& words, bool suffixed) const {
  const auto candidates = by_noun_.find(singular(words.back()));
  if (candidates == by_noun_.end()) return npos;
  for (std::size_t skip = 0; skip < words.size(); ++skip) {
    if (skip > 0 && (words.size() - skip > 1 || !suffixed)) continue;
    const std::string stem = joined(words, skip);
    Places found;
    // Whole: "courses" for "course". Otherwise also with a framework's prefix: "core_course".
    for (std::size_t to : candidates->second) {
      if (joined(words_[to]) == stem && fits(to, column)) found.push_back(to);
    }
    if (found.empty() && skip == 0) {
      for (std::size_t to : candidates->second) {
        if (joined(words_[to]).ends_with("_" + stem) && fits(to, column)) found.push_back(to);
      }
    }
    same_schema_first(from, found);
    if (!found.empty()) return only(found);
  }
  return npos;
}

void ColumnTargets::same_schema_first(std::size_t from, Places& found) const {
  const std::string& schema = tables_[from]->name.schema;
  Places near;
  for (std::size_t to : found) {
    if (tables_[to]->name.schema == schema) near.push_back(to);
  }
  if (!near.empty()) found = std::move(near);
}

std::size_t ColumnTargets::only_user(const Column& column) const {
  Places found;
  for (std::size_t to : users_) {
    if (fits(to, column)) found.push_back(to);
  }
  return only(found);
}

}  // namespace domicile::catalog
