#include "catalog/catalog.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace domicile::catalog {
namespace {

template <typename Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<TableClass, 6> kClasses{{{TableClass::organization, "organization"},
                                         {TableClass::mixed, "mixed"},
                                         {TableClass::reference, "reference"},
                                         {TableClass::person, "person"},
                                         {TableClass::system, "system"},
                                         {TableClass::ignored, "ignored"}}};
constexpr Names<Mode, 3> kModes{
    {{Mode::off, "off"}, {Mode::observe, "observe"}, {Mode::enforce, "enforce"}}};
constexpr Names<Confidence, 3> kConfidences{{{Confidence::certain, "certain"},
                                             {Confidence::likely, "likely"},
                                             {Confidence::unsure, "unsure"}}};

template <typename Enum, std::size_t N>
std::string_view name_of(const Names<Enum, N>& names, Enum value) {
  for (const auto& [each, name] : names) {
    if (each == value) return name;
  }
  return "?";
}

template <typename Enum, std::size_t N>
Result<Enum> value_of(const Names<Enum, N>& names, std::string_view what, std::string_view text) {
  std::string known;
  for (const auto& [each, name] : names) {
    if (name == text) return each;
    known += known.empty() ? "" : ", ";
    known += name;
  }
  return fail(Code::invalid, fmt::format("this is not a {}; write one of {}", what, known));
}

bool plain_part(std::string_view part) {
  return std::ranges::none_of(part,
                              [](char c) {
                                return c == '.' || c == '"' || c == ' ' || c == ',' || c == '(' ||
                                       c == ')';
                              }) &&
         part.find("->") == std::string_view::npos;
}

std::string quoted_part(std::string_view part) {
  if (plain_part(part)) return std::string(part);
  std::string out = "\"";
  for (char c : part) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

// Reads names from text such as `public."a.b"` or `(x, y) -> s.t`, one token at a time.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void skip_spaces() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip_spaces();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  bool done() {
    skip_spaces();
    return rest_.empty();
  }
  std::optional<std::string> part() {
    skip_spaces();
    std::string out;
    if (rest_.starts_with('"')) {
      rest_.remove_prefix(1);
      for (;;) {
        if (rest_.empty()) return std::nullopt;
        const char c = rest_.front();
        rest_.remove_prefix(1);
        if (c != '"') {
          out.push_back(c);
        } else if (rest_.starts_with('"')) {
          out.push_back('"');
          rest_.remove_prefix(1);
        } else {
          break;
        }
      }
    } else {
      while (!rest_.empty() && plain_part(rest_.substr(0, 1)) && !rest_.starts_with("->")) {
        out.push_back(rest_.front());
        rest_.remove_prefix(1);
      }
    }
    if (!valid_identifier(out)) return std::nullopt;
    return out;
  }
  std::optional<QualifiedName> name() {
    auto schema = part();
    if (!schema || !rest_.starts_with('.')) return std::nullopt;
    rest_.remove_prefix(1);
    auto table = rest_.starts_with(' ') ? std::nullopt : part();
    if (!table) return std::nullopt;
    return QualifiedName{std::move(*schema), std::move(*table)};
  }
  // a, b, c and the closing parenthesis
  std::optional<std::vector<std::string>> list() {
    std::vector<std::string> out;
    do {
      auto column = part();
      if (!column) return std::nullopt;
      out.push_back(std::move(*column));
    } while (take(","));
    if (!take(")")) return std::nullopt;
    return out;
  }

 private:
  std::string_view rest_;
};

std::string listed(const std::vector<std::string>& columns) {
  std::string out;
  for (const auto& column : columns) out += (out.empty() ? "" : ", ") + quoted_part(column);
  return "(" + out + ")";
}

}  // namespace

bool valid_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 63 && std::ranges::none_of(text, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::string to_string(const QualifiedName& name) {
  return quoted_part(name.schema) + "." + quoted_part(name.name);
}

Result<QualifiedName> parse_qualified_name(std::string_view text) {
  Reader reader(text);
  auto name = reader.name();
  if (!name || !reader.done()) {
    return fail(Code::invalid,
                "this is not a table's name; write schema.table, and a part with a dot or "
                "a space in double quotes");
  }
  return *std::move(name);
}

std::string to_string(const PathStep& step) {
  std::string out = step.columns.size() == 1 ? quoted_part(step.columns[0]) : listed(step.columns);
  out += " -> " + to_string(step.references);
  if (!step.referenced_columns.empty()) out += " " + listed(step.referenced_columns);
  return out;
}

Result<PathStep> parse_path_step(std::string_view text) {
  const auto bad = [] {
    return fail(Code::invalid,
                "this is not a step of a path; write \"column -> schema.table\", or "
                "\"(a, b) -> schema.table (x, y)\" for a key of several columns");
  };
  Reader reader(text);
  PathStep step;
  if (reader.take("(")) {
    auto columns = reader.list();
    if (!columns) return bad();
    step.columns = *std::move(columns);
  } else {
    auto column = reader.part();
    if (!column) return bad();
    step.columns.push_back(*std::move(column));
  }
  if (!reader.take("->")) return bad();
  reader.skip_spaces();
  auto name = reader.name();
  if (!name) return bad();
  step.references = *std::move(name);
  if (reader.take("(")) {
    auto columns = reader.list();
    if (!columns || columns->size() != step.columns.size()) return bad();
    step.referenced_columns = *std::move(columns);
  }
  if (!reader.done()) return bad();
  return step;
}

std::string_view to_string(TableClass value) { return name_of(kClasses, value); }
std::string_view to_string(Mode value) { return name_of(kModes, value); }
std::string_view to_string(Confidence value) { return name_of(kConfidences, value); }
Result<TableClass> parse_table_class(std::string_view text) {
  return value_of(kClasses, "class", text);
}
Result<Mode> parse_mode(std::string_view text) { return value_of(kModes, "mode", text); }
Result<Confidence> parse_confidence(std::string_view text) {
  return value_of(kConfidences, "confidence", text);
}

std::string_view to_string(LinkRule value) { return value == LinkRule::drop ? "drop" : "refuse"; }

const std::vector<std::string_view>& personal_labels() {
  static const std::vector<std::string_view> labels = {
      "address",   "birth_date", "credential",    "device", "email",      "financial",
      "free_text", "gender",     "government_id", "health", "ip_address", "location",
      "name",      "online_id",  "other",         "phone",  "photo"};
  return labels;
}

const Table* Catalog::find(const QualifiedName& name) const {
  const auto at = std::ranges::lower_bound(tables, name, {}, &Table::name);
  return at != tables.end() && at->name == name ? &*at : nullptr;
}

Table* Catalog::find(const QualifiedName& name) {
  return const_cast<Table*>(std::as_const(*this).find(name));
}

void Catalog::put(Table table) {
  const auto at = std::ranges::lower_bound(tables, table.name, {}, &Table::name);
  if (at != tables.end() && at->name == table.name) {
    *at = std::move(table);
  } else {
    tables.insert(at, std::move(table));
  }
}

std::string to_string(const std::vector<Problem>& problems, std::string_view filename) {
  std::string out;
  for (const Problem& problem : problems) {
    if (!out.empty()) out.push_back('\n');
    out += filename;
    if (problem.line != 0) out += fmt::format(":{}", problem.line);
    if (problem.line != 0 && problem.column != 0) out += fmt::format(":{}", problem.column);
    out += fmt::format(": {}: {}", problem.place, problem.reason);
    if (!problem.remedy.empty()) out += "; " + problem.remedy;
  }
  return out;
}

}  // namespace domicile::catalog
