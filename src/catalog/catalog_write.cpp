#include <algorithm>

#include <fmt/format.h>

#include "catalog/catalog.h"

namespace domicile::catalog {
namespace {

std::string quoted(std::string_view text) {
  // A literal string keeps names with double quotes readable; it cannot hold a single quote.
  const bool escapes = text.find_first_of("\"\\") != std::string_view::npos;
  if (escapes && text.find('\'') == std::string_view::npos) return fmt::format("'{}'", text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + '"';
}

std::string bare_or_quoted(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? std::string(key) : quoted(key);
}

std::string list(std::string_view key, const std::vector<std::string>& items) {
  std::string line = fmt::format("{} = [", key);
  for (std::size_t i = 0; i < items.size(); ++i) line += (i == 0 ? "" : ", ") + quoted(items[i]);
  line += "]\n";
  if (line.size() <= 101) return line;
  line = fmt::format("{} = [\n", key);
  for (const std::string& item : items) line += fmt::format("  {},\n", quoted(item));
  return line + "]\n";
}

template <typename Items, typename Column, typename Value>
std::string pairs(std::string_view key, const Items& items, Column column, Value value) {
  std::string line = fmt::format("{} = {{ ", key);
  bool first = true;
  for (const auto& item : items) {
    line +=
        fmt::format("{}{} = \"{}\"", first ? "" : ", ", bare_or_quoted(column(item)), value(item));
    first = false;
  }
  return line + " }\n";
}

Mode default_of(const Table& table, Mode default_mode) {
  const bool guarded =
      table.table_class != TableClass::system && table.table_class != TableClass::ignored;
  return guarded && !table.open_question() ? default_mode : Mode::off;
}

}  // namespace

std::string to_toml(const Table& table, Mode default_mode) {
  std::string out = "[[table]]\n";
  const auto line = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) out += fmt::format("{} = {}\n", key, quoted(value));
  };
  line("name", to_string(table.name));
  line("class", to_string(table.table_class));
  line("key", table.key);
  if (!table.path.empty()) {
    std::vector<std::string> steps;
    for (const PathStep& step : table.path) steps.push_back(to_string(step));
    out += list("path", steps);
  }
  line("person", table.person);
  if (table.mode != default_of(table, default_mode)) line("mode", to_string(table.mode));
  if (!table.personal.empty()) {
    out += pairs(
        "personal", table.personal, [](const auto& p) -> const auto& { return p.column; },
        [](const auto& p) { return p.label; });
  }
  if (!table.links.empty()) {
    out += pairs(
        "links", table.links, [](const auto& l) -> const auto& { return l.column; },
        [](const auto& l) { return to_string(l.rule); });
  }
  line("reason", table.reason);
  line("note", table.note);
  if (table.planned) out += "planned = true\n";
  if (table.proposed) {
    out +=
        fmt::format("proposed = \"{}\"{}\n", to_string(*table.proposed),
                    table.open_question() ? "  # a question: decide, then remove this line" : "");
  }
  if (!table.why.empty()) out += list("why", table.why);
  return out;
}

std::string to_toml(const Catalog& catalog) {
  std::string out =
      "# What the tables of this application hold. Reference: docs/catalog.md of Domicile.\n"
      "# An entry with a line `proposed` is the scan's; remove that line to make it yours: no scan "
      "changes\n"
      "# it from then on.\n\n"
      "[catalog]\nversion = 1\n";
  out += fmt::format("key_type = \"{}\"\n", to_string(catalog.key_type));
  if (catalog.root) out += fmt::format("root = {}\n", quoted(to_string(*catalog.root)));
  if (!catalog.schemas.empty()) out += list("schemas", catalog.schemas);
  out += fmt::format("default_mode = \"{}\"\n", to_string(catalog.default_mode));
  for (const Table& table : catalog.tables) out += "\n" + to_toml(table, catalog.default_mode);
  return out;
}

}  // namespace domicile::catalog
