#include "catalog/naming.h"

#include <algorithm>
#include <array>
#include <set>

namespace domicile::catalog {
namespace {

bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
char to_lower(char c) { return upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

using Words = std::set<std::string_view>;

template <typename Pairs>
int weight_in(const Pairs& pairs, std::string_view word) {
  for (const auto& [name, weight] : pairs) {
    if (name == word) return weight;
  }
  return 0;
}

constexpr std::pair<std::string_view, int> kOrganizations[] = {
    {"organization", 10},
    {"organisation", 10},
    {"org", 10},
    {"tenant", 10},
    {"workspace", 9},
    {"company", 8},
    {"account", 7},
    {"school", 8},
    {"institution", 8},
    {"university", 7},
    {"merchant", 7},
    {"agency", 6},
    {"practice", 6},
    {"clinic", 6},
    {"hospital", 6},
    {"district", 4},
    {"shop", 6},
    {"store", 6},
    {"client", 5},
    {"business", 6},
    {"team", 5},
    {"customer", 4},
    {"firm", 6},
    {"enterprise", 7},
    {"subscriber", 4},
    {"vendor", 3},
    {"namespace", 3},
    {"site", 3},
    {"brand", 3},
    {"group", 2},
    {"project", 1},
    {"instance", 2},
    {"realm", 4},
    {"municipality", 4},
    {"household", 4},
    {"organizer", 7},
    {"organiser", 7},
    {"provider", 4},
    {"franchise", 6},
    {"franchisee", 6},
    {"church", 6},
    {"parish", 6},
    {"club", 6},
    {"gym", 6},
    {"studio", 6},
    {"restaurant", 6},
    {"hotel", 5},
    {"employer", 6},
    {"publisher", 3},
    {"seller", 5},
    {"dealer", 5},
    {"dealership", 6},
    {"association", 6},
    {"charity", 6},
    {"foundation", 5},
    {"nonprofit", 6},
    {"partner", 3},
    {"landlord", 3},
    {"operator", 2},
    {"farm", 5},
    // The same in other languages that applications are written in.
    {"mandant", 10},
    {"firma", 8},
    {"unternehmen", 8},
    {"verein", 6},
    {"schule", 8},
    {"praxis", 6},
    {"kunde", 4},
    {"filiale", 4},
    {"organisme", 8},
    {"entreprise", 8},
    {"societe", 8},
    {"etablissement", 6},
    {"ecole", 8},
    {"locataire", 5},
    {"empresa", 8},
    {"inquilino", 8},
    {"escuela", 8},
    {"tienda", 6},
    {"cliente", 5},
    {"azienda", 8},
    {"scuola", 8},
    {"bedrijf", 8},
    {"organizacion", 10},
    {"organizacao", 10},
    {"organisatie", 10},
    {"klant", 4}};

constexpr std::pair<std::string_view, int> kUsers[] = {
    {"user", 10},    {"person", 7},   {"people", 7},     {"member", 4},    {"identity", 4},
    {"login", 4},    {"profile", 2},  {"account", 2},    {"employee", 3},  {"agent", 2},
    {"student", 3},  {"operator", 3}, {"staff", 3},      {"benutzer", 10}, {"utilisateur", 10},
    {"usuario", 10}, {"utente", 10},  {"gebruiker", 10}, {"login", 4}};

}  // namespace

std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '_' || c == '-' || c == ' ' || c == '.' || c == '$') {
      end_word();
      continue;
    }
    // A hump: "orderItems", or the last capital of "HTTPServer".
    const bool after_lower = i > 0 && (lower(name[i - 1]) || digit(name[i - 1]));
    const bool before_lower =
        i > 0 && upper(name[i - 1]) && i + 1 < name.size() && lower(name[i + 1]);
    if (upper(c) && (after_lower || before_lower)) end_word();
    word.push_back(to_lower(c));
  }
  end_word();
  return words;
}

std::string singular(std::string_view word) {
  static const std::set<std::string_view> kAlready = {
      "status",   "address",  "business", "class",  "access", "process", "news",
      "series",   "analysis", "species",  "bus",    "campus", "bonus",   "basis",
      "progress", "success",  "gas",      "corpus", "canvas"};
  static const std::pair<std::string_view, std::string_view> kOdd[] = {
      {"people", "person"},      {"children", "child"}, {"men", "man"},
      {"women", "woman"},        {"data", "data"},      {"indices", "index"},
      {"criteria", "criterion"}, {"media", "media"},    {"analyses", "analysis"},
      {"movies", "movie"},       {"cookies", "cookie"}, {"quizzes", "quiz"}};
  for (const auto& [plural, one] : kOdd) {
    if (plural == word) return std::string(one);
  }
  if (kAlready.contains(word) || word.size() < 3) return std::string(word);
  if (word.ends_with("ies") && word.size() > 4)
    return std::string(word.substr(0, word.size() - 3)) + "y";
  for (std::string_view end : {"sses", "shes", "ches", "xes", "zes", "uses"}) {
    if (word.ends_with(end)) return std::string(word.substr(0, word.size() - 2));
  }
  if (word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") &&
      !word.ends_with("is")) {
    return std::string(word.substr(0, word.size() - 1));
  }
  return std::string(word);
}

std::string head_noun(std::string_view name) {
  auto words = words_of(name);
  while (words.size() > 1 && std::ranges::all_of(words.back(), digit)) words.pop_back();
  return words.empty() ? std::string() : singular(words.back());
}

std::string joined(const std::vector<std::string>& words, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < words.size(); ++i) out += (out.empty() ? "" : "_") + words[i];
  return out;
}

int organization_weight(std::string_view table) {
  const auto words = words_of(table);
  const std::string head = head_noun(table);
  const int weight = weight_in(kOrganizations, head);
  // "core_tenant" and "accounts_organization" are a framework's prefixes; "email_account" is
  // another thing.
  if (words.size() == 1 || weight == 0) return weight;
  static const Words kOtherThings = {"email",    "bank",    "social",   "user",   "service",
                                     "ledger",   "gl",      "external", "mail",   "payment",
                                     "customer", "savings", "oauth",    "linked", "test"};
  if (kOtherThings.contains(singular(words[words.size() - 2]))) return 0;
  if (words[words.size() - 2] == "of") return 0;  // a line of business is no business
  return std::max(1, weight - 1);
}

int user_weight(std::string_view table) {
  const auto words = words_of(table);
  const int weight = weight_in(kUsers, head_noun(table));
  return words.size() > 2 ? weight / 2 : weight;
}

bool names_a_deed(const std::vector<std::string>& column_words) {
  static const Words kDeeds = {"create", "created",  "write",  "written", "update", "updated",
                               "modify", "modified", "change", "changed", "insert", "inserted",
                               "delete", "deleted",  "edit",   "edited"};
  if (column_words.size() < 2) return false;
  if (std::ranges::find(column_words.begin() + 1, column_words.end(), "by") != column_words.end())
    return true;
  return kDeeds.contains(column_words.front()) &&
         (column_words.back() == "uid" || column_words.back() == "user" ||
          (column_words.size() > 2 && column_words[column_words.size() - 2] == "user"));
}

bool names_an_actor(std::string_view column) {
  static const Words kActors = {
      "creator",    "author",  "owner",      "assignee",  "editor",   "reviewer",  "approver",
      "sender",     "actor",   "uploader",   "inviter",   "modifier", "submitter", "requester",
      "reporter",   "grader",  "updater",    "publisher", "resolver", "closer",    "moderator",
      "maintainer", "manager", "supervisor", "verifier",  "importer", "merger"};
  const auto words = words_of(column);
  if (words.empty()) return false;
  if (names_a_deed(words)) return true;
  const bool id = words.back() == "id" || words.back() == "uuid" || words.back() == "user";
  const std::size_t last = id && words.size() > 1 ? words.size() - 2 : words.size() - 1;
  return kActors.contains(words[last]) ||
         (last > 0 && words.back() == "id" && kActors.contains(words[last - 1]) &&
          words[last] == "user");
}

TypeFamily family_of(std::string_view type) {
  if (type == "bigint" || type == "integer" || type == "smallint") return TypeFamily::integer;
  if (type == "uuid") return TypeFamily::uuid;
  if (type == "text" || type == "character varying" || type == "character" ||
      type.ends_with("citext")) {
    return TypeFamily::text;
  }
  return TypeFamily::other;
}

}  // namespace domicile::catalog
