#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "catalog/catalog.h"

namespace domicile::catalog {
namespace {

constexpr std::size_t kTextBytesMax = 16u << 20;
constexpr std::size_t kTextLengthMax = 2000;  // of one string in the file

// Collects everything wrong in one pass: a reviewer mends the file once.
class Parser {
 public:
  Catalog catalog;
  std::vector<Problem> problems;

  void run(const toml::table& file) {
    place_ = "the file";
    only(file, {"catalog", "table"});
    if (const auto* head = file["catalog"].as_table()) {
      read_head(*head);
    } else {
      say(file, "there is no [catalog] section",
          "begin with [catalog], version = 1 and key_type = \"bigint\"");
    }
    if (const auto* node = file.get("table"); node != nullptr) read_tables(*node);
    std::ranges::sort(catalog.tables, {}, [](const Table& t) { return std::tie(t.name, t.line); });
    if (catalog.schemas.empty()) {
      std::set<std::string> used;
      for (const Table& table : catalog.tables) used.insert(table.name.schema);
      catalog.schemas.assign(used.begin(), used.end());
    }
  }

 private:
  void say(const toml::node& at, std::string reason, std::string remedy) {
    problems.push_back({at.source().begin.line, at.source().begin.column, place_, std::move(reason),
                        std::move(remedy)});
  }

  void only(const toml::table& table, std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      const auto at = key.source().begin;
      problems.push_back({at.line, at.column, place_,
                          fmt::format("unknown key \"{}\"", shown(key.str())),
                          fmt::format("known are {}", fmt::join(known, ", "))});
    }
  }

  static std::string shown(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, 80)) out.push_back(static_cast<unsigned char>(c) < 0x20 ? '?' : c);
    return out;
  }

  std::optional<std::string> string(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    return string(*node, key);
  }

  std::optional<std::string> string(const toml::node& node, std::string_view key) {
    const auto value = node.value_exact<std::string>();
    if (!value) {
      say(node, fmt::format("{} must be a string", key), "put it in quotes");
      return std::nullopt;
    }
    const bool control = std::ranges::any_of(
        *value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (value->empty() || value->size() > kTextLengthMax || control) {
      say(node,
          fmt::format("{} is empty, longer than {} bytes, or holds control characters", key,
                      kTextLengthMax),
          "correct it, or remove the line");
      return std::nullopt;
    }
    return value;
  }

  std::optional<std::string> identifier(const toml::table& table, std::string_view key) {
    auto text = string(table, key);
    if (text && !valid_identifier(*text)) {
      say(*table.get(key), fmt::format("{} is not a valid name", key),
          "a name has at most 63 bytes");
      return std::nullopt;
    }
    return text;
  }

  std::vector<std::pair<std::string, const toml::node*>> strings(const toml::table& table,
                                                                 std::string_view key) {
    std::vector<std::pair<std::string, const toml::node*>> out;
    const toml::node* node = table.get(key);
    if (node == nullptr) return out;
    const auto* array = node->as_array();
    if (array == nullptr || array->empty()) {
      say(*node, fmt::format("{} must be a list of strings", key),
          fmt::format("write {} = [\"...\"]", key));
      return out;
    }
    for (const toml::node& each : *array) {
      if (auto text = string(each, key)) out.emplace_back(*std::move(text), &each);
    }
    return out;
  }

  // A word out of a fixed set, read by one of catalog.h's parse functions.
  template <typename T>
  std::optional<T> word(const toml::table& table, std::string_view key,
                        Result<T> (*parse)(std::string_view)) {
    const auto text = string(table, key);
    if (!text) return std::nullopt;
    auto value = parse(*text);
    if (value) return *value;
    say(*table.get(key), fmt::format("\"{}\": {}", shown(*text), value.error().message), "");
    return std::nullopt;
  }

  void read_head(const toml::table& head) {
    place_ = "catalog";
    only(head, {"version", "key_type", "root", "schemas", "default_mode"});
    if (head["version"].value_exact<std::int64_t>() != 1) {
      say(head.contains("version") ? *head.get("version") : head,
          "this program reads version = 1 only", "write version = 1");
    }
    if (!head.contains("key_type")) {
      say(head, "key_type is missing",
          "write the type of the organization key: bigint, uuid or text");
    } else if (const auto type = string(head, "key_type")) {
      if (auto parsed = domain::parse_key_type(*type))
        catalog.key_type = *parsed;
      else
        say(*head.get("key_type"), "key_type is not known", "write bigint, uuid or text");
    }
    if (const auto root = word(head, "root", &parse_qualified_name)) catalog.root = root;
    if (const auto mode = word(head, "default_mode", &parse_mode)) catalog.default_mode = *mode;
    std::set<std::string> schemas;
    for (const auto& [schema, node] : strings(head, "schemas")) {
      if (!valid_identifier(schema))
        say(*node, "this is not a schema's name", "a name has at most 63 bytes");
      else if (!schemas.insert(schema).second)
        say(*node, "the schema stands twice", "keep one");
    }
    catalog.schemas.assign(schemas.begin(), schemas.end());
  }

  void read_tables(const toml::node& node) {
    const auto* array = node.as_array();
    if (array == nullptr ||
        !std::ranges::all_of(*array, [](const auto& each) { return each.is_table(); })) {
      say(node, "table must be written as [[table]] sections",
          "write [[table]] above each table's keys");
      return;
    }
    for (const toml::node& each : *array) read_table(*each.as_table());
  }

  void read_table(const toml::table& at) {
    place_ = "table";
    Table table;
    table.line = at.source().begin.line;
    if (!at.contains("name")) say(at, "name is missing", "write name = \"schema.table\"");
    const auto name = word(at, "name", &parse_qualified_name);
    if (name) {
      table.name = *name;
      place_ = "table " + to_string(*name);
    }
    only(at, {"name", "class", "mode", "key", "path", "person", "personal", "links", "reason",
              "note", "planned", "proposed", "why"});
    if (!at.contains("class")) {
      say(at, "class is missing",
          "write class = \"organization\", \"mixed\", \"reference\", \"person\", \"system\" or "
          "\"ignored\"");
    }
    const auto table_class = word(at, "class", &parse_table_class);
    table.table_class = table_class.value_or(TableClass::ignored);
    table.key = identifier(at, "key").value_or("");
    table.person = identifier(at, "person").value_or("");
    table.reason = string(at, "reason").value_or("");
    table.note = string(at, "note").value_or("");
    for (auto& [text, node] : strings(at, "why")) table.why.push_back(text);
    table.proposed = word(at, "proposed", &parse_confidence);
    read_path(at, table);
    read_personal(at, table);
    read_links(at, table);
    if (const toml::node* planned = at.get("planned"); planned != nullptr) {
      if (const auto value = planned->value_exact<bool>())
        table.planned = *value;
      else
        say(*planned, "planned must be true or false", "write planned = true");
    }
    read_mode(at, table);
    if (name && table_class) catalog.tables.push_back(std::move(table));
  }

  void read_mode(const toml::table& at, Table& table) {
    const bool guarded =
        table.table_class != TableClass::system && table.table_class != TableClass::ignored;
    table.mode = guarded && !table.open_question() ? catalog.default_mode : Mode::off;
    if (const auto mode = word(at, "mode", &parse_mode)) table.mode = *mode;
  }

  void read_path(const toml::table& at, Table& table) {
    for (const auto& [text, node] : strings(at, "path")) {
      auto step = parse_path_step(text);
      if (step)
        table.path.push_back(*std::move(step));
      else
        say(*node, step.error().message, "");
    }
  }

  const toml::table* pairs(const toml::table& at, std::string_view key, std::string_view remedy) {
    const toml::node* node = at.get(key);
    if (node == nullptr) return nullptr;
    if (node->as_table() == nullptr)
      say(*node, fmt::format("{} must be pairs of column and word", key), std::string(remedy));
    return node->as_table();
  }

  void read_personal(const toml::table& at, Table& table) {
    const auto* columns = pairs(at, "personal", "write personal = { email = \"email\" }");
    if (columns == nullptr) return;
    for (const auto& [column, node] : *columns) {
      if (auto label = string(node, "personal"))
        table.personal.push_back({std::string(column.str()), *std::move(label)});
    }
    std::ranges::sort(table.personal, {}, &PersonalColumn::column);
  }

  void read_links(const toml::table& at, Table& table) {
    const auto* columns = pairs(at, "links", "write links = { created_by = \"drop\" }");
    if (columns == nullptr) return;
    for (const auto& [column, node] : *columns) {
      const auto rule = string(node, "links");
      if (!rule) continue;
      if (*rule != "drop" && *rule != "refuse") {
        say(node, fmt::format("\"{}\" is not a rule for a link", shown(*rule)),
            "write drop or refuse");
        continue;
      }
      table.links.push_back(
          {std::string(column.str()), *rule == "drop" ? LinkRule::drop : LinkRule::refuse});
    }
    std::ranges::sort(table.links, {}, &Link::column);
  }

  std::string place_;
};

// Reads as far as it can; the catalog is only good when no problem was found.
Parser read(std::string_view text) {
  Parser parser;
  if (text.size() > kTextBytesMax) {
    parser.problems.push_back(
        {0, 0, "the file", "it is larger than 16 MiB", "this cannot be a catalog: check the path"});
    return parser;
  }
  try {
    parser.run(toml::parse(text));
  } catch (const toml::parse_error& error) {
    parser.problems.push_back({error.source().begin.line, error.source().begin.column, "the file",
                               std::string(error.description()),
                               "correct the TOML first; other problems show after that"});
    return parser;
  }
  // The rules between fields speak of what was read; where reading failed they would only repeat
  // it.
  std::set<std::string> places;
  for (const Problem& problem : parser.problems) places.insert(problem.place);
  for (Problem& problem : validate(parser.catalog)) {
    const std::string table = problem.place.substr(0, problem.place.rfind(", "));
    if (!places.contains(table)) parser.problems.push_back(std::move(problem));
  }
  std::ranges::sort(parser.problems, {},
                    [](const Problem& p) { return std::tie(p.line, p.column, p.place, p.reason); });
  return parser;
}

}  // namespace

Result<Catalog> parse_catalog(std::string_view text, std::string_view filename) {
  Parser parser = read(text);
  if (!parser.problems.empty()) {
    return fail(Code::invalid, to_string(parser.problems, filename), "catalog_invalid");
  }
  return std::move(parser.catalog);
}

std::vector<Problem> problems_of(std::string_view text) { return read(text).problems; }

}  // namespace domicile::catalog
