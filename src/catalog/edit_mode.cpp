#include "catalog/edit_mode.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace domicile::catalog {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto length = end == std::string_view::npos ? text.size() : end + 1;
    lines.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

std::string_view trimmed(std::string_view line) {
  const auto first = line.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view{} : line.substr(first);
}

// Does this line set the key? Then the place after its "=".
std::size_t value_at(const std::string& line, std::string_view key) {
  const auto text = trimmed(line);
  if (!text.starts_with(key)) return std::string::npos;
  const auto rest = trimmed(text.substr(key.size()));
  if (!rest.starts_with('=')) return std::string::npos;
  return line.size() - rest.size() + 1;
}

// "  mode = "off"  # why" with another value; empty when the value is not a plain string.
std::string with_mode(const std::string& line, std::size_t value, Mode mode) {
  const auto open = line.find_first_not_of(" \t", value);
  if (open == std::string::npos || (line[open] != '"' && line[open] != '\'')) return {};
  const auto close = line.find(line[open], open + 1);
  if (close == std::string::npos) return {};
  return fmt::format("{}\"{}\"{}", line.substr(0, open), to_string(mode), line.substr(close + 1));
}

// The table's block begins at `header` (counted from 0) and ends before the next header.
bool edit_block(std::vector<std::string>& lines, std::size_t header, Mode mode) {
  std::size_t after = header;
  for (std::size_t i = header + 1; i < lines.size(); ++i) {
    if (trimmed(lines[i]).starts_with('[')) break;
    if (const auto value = value_at(lines[i], "mode"); value != std::string::npos) {
      lines[i] = with_mode(lines[i], value, mode);
      return !lines[i].empty();
    }
    if (value_at(lines[i], "class") != std::string::npos) after = i;
  }
  if (after == header) return false;
  const std::string& model = lines[after];
  const std::string indent = model.substr(0, model.size() - trimmed(model).size());
  if (!model.ends_with('\n')) lines[after] += "\n";
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(after) + 1,
               fmt::format("{}mode = \"{}\"\n", indent, to_string(mode)));
  return true;
}

bool same_but_lines(Catalog wanted, Catalog got) {
  for (auto* each : {&wanted, &got}) {
    for (Table& table : each->tables) table.line = 0;
  }
  return to_toml(wanted) == to_toml(got);
}

}  // namespace

Result<std::string> edit_mode(std::string_view text, std::string_view filename,
                              const std::set<QualifiedName>& tables, Mode mode) {
  Catalog wanted = TRY(parse_catalog(text, filename));
  auto lines = lines_of(text);
  std::vector<std::pair<std::size_t, QualifiedName>> places;
  for (const QualifiedName& name : tables) {
    Table* table = wanted.find(name);
    if (table == nullptr)
      return fail(
          Code::invalid,
          fmt::format("{}: table {} is not in the catalog; add it, or see `domicile catalog "
                      "scan`",
                      filename, to_string(name)),
          "not_in_catalog");
    if (table->mode != mode) places.emplace_back(table->line, name);
    table->mode = mode;
  }
  // From the end of the file, so that inserted lines move nothing that is still to come.
  std::ranges::sort(places, std::greater<>{});
  for (const auto& [line, name] : places) {
    if (line == 0 || line > lines.size() || !edit_block(lines, line - 1, mode)) {
      return fail(Code::invalid,
                  fmt::format("{}:{}: table {}: write mode = \"{}\" there by hand; this layout is "
                              "not edited",
                              filename, line, to_string(name), to_string(mode)),
                  "catalog_layout");
    }
  }
  std::string out;
  for (const auto& line : lines) out += line;
  const auto got = parse_catalog(out, filename);
  if (!got || !same_but_lines(std::move(wanted), *got)) {
    return fail(Code::invalid,
                fmt::format("{}: the modes cannot be changed in place; write mode = \"{}\" by hand "
                            "and run the command again",
                            filename, to_string(mode)),
                "catalog_layout");
  }
  return out;
}

}  // namespace domicile::catalog
