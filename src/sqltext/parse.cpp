#include "sqltext/parse.h"

#include <cctype>
#include <optional>

#include <fmt/format.h>
#include <pg_query.h>
#include <simdjson.h>

#include "sqltext/large_stack.h"
#include "sqltext/statements.h"

namespace domicile::sqltext {
namespace {

using Element = simdjson::dom::element;

// "{"Wrapper": {...}}": PostgreSQL's node types begin with a capital letter, its fields do not.
bool wrapper(const simdjson::dom::object& object) {
  if (object.size() != 1) return false;
  const std::string_view key = (*object.begin()).key;
  return !key.empty() && std::isupper(static_cast<unsigned char>(key[0])) != 0;
}

class Builder {
 public:
  explicit Builder(Tree& tree) : tree_(tree) {}

  void build(const Element& from, Node& to, std::size_t depth) {
    if (depth > kDepthMax) {
      tree_.cut = true;
      return;
    }
    simdjson::dom::object object;
    simdjson::dom::array array;
    if (!from.get(object)) {
      to.kind = Node::Kind::object;
      if (wrapper(object)) {
        to.type = (*object.begin()).key;
        build((*object.begin()).value, to, depth + 1);
        return;
      }
      for (const auto field : object) {
        if (field.key == "location") continue;
        Node& child = to.children.emplace_back();
        child.field = field.key;
        build(field.value, child, depth + 1);
      }
    } else if (!from.get(array)) {
      to.kind = Node::Kind::list;
      to.children.reserve(array.size());
      for (const auto element : array) build(element, to.children.emplace_back(), depth + 1);
    } else {
      to.text = scalar(from);
    }
  }

 private:
  static std::string scalar(const Element& from) {
    std::string_view text;
    bool truth = false;
    if (!from.get(text)) return std::string(text);
    if (!from.get(truth)) return truth ? "true" : "false";
    return simdjson::minify(from);
  }
  Tree& tree_;
};

std::optional<Error> too_long(std::string_view text) {
  if (text.size() > kStatementBytesMax) {
    return Error{
        Code::invalid,
        fmt::format("the statement has {} bytes, more than {}", text.size(), kStatementBytesMax),
        "sql_too_long"};
  }
  std::size_t tokens = 0;
  for (const auto& statement : split_statements(text)) tokens += statement.tokens;
  if (tokens <= kTokensMax) return std::nullopt;
  return Error{Code::invalid,
               fmt::format("the statement has {} words, more than {}", tokens, kTokensMax),
               "sql_too_long"};
}

Error syntax(const PgQueryError& error) { return {Code::invalid, error.message, "sql_syntax"}; }

Result<Tree> parse_here(const std::string& text) {
  PgQueryParseResult parsed = pg_query_parse(text.c_str());
  struct Free {
    PgQueryParseResult& of;
    ~Free() { pg_query_free_parse_result(of); }
  } const free{parsed};
  if (parsed.error != nullptr) return std::unexpected(syntax(*parsed.error));
  const std::string_view json = parsed.parse_tree;
  simdjson::dom::parser parser;
  Element document;
  simdjson::dom::array statements;
  // Depth costs the parser a few bytes a level; the JSON of our longest statement fits.
  if (parser.allocate(json.size(), 4 * kTokensMax) != simdjson::SUCCESS ||
      parser.parse(json.data(), json.size(), true).get(document) != simdjson::SUCCESS ||
      document["stmts"].get(statements) != simdjson::SUCCESS) {
    return fail(Code::internal, "the parser's tree cannot be read", "sql_tree");
  }
  if (statements.size() != 1) {
    return fail(Code::invalid, fmt::format("{} statements instead of one", statements.size()),
                "sql_syntax");
  }
  Tree tree;
  Builder(tree).build((*statements.begin())["stmt"].value(), tree.statement, 0);
  return tree;
}

Result<std::string> fingerprint_here(const std::string& text) {
  PgQueryFingerprintResult made = pg_query_fingerprint(text.c_str());
  struct Free {
    PgQueryFingerprintResult& of;
    ~Free() { pg_query_free_fingerprint_result(of); }
  } const free{made};
  if (made.error != nullptr) return std::unexpected(syntax(*made.error));
  return std::string(made.fingerprint_str);
}

template <typename T>
Result<T> limited(std::string_view text, Result<T> (*work)(const std::string&)) {
  if (auto error = too_long(text)) return std::unexpected(*std::move(error));
  if (text.find('\0') != std::string_view::npos)
    return fail(Code::invalid, "the statement holds a zero byte", "sql_syntax");
  const std::string copy(text);
  std::optional<Result<T>> result;
  on_large_stack([&] { result = work(copy); });
  return *std::move(result);
}

}  // namespace

const Node& Node::operator[](std::string_view name) const {
  static const Node empty;
  for (const Node& child : children) {
    if (child.field == name) return child;
  }
  return empty;
}

bool Node::has(std::string_view name) const {
  for (const Node& child : children) {
    if (child.field == name) return true;
  }
  return false;
}

std::string_view Node::string() const {
  if (type == "String" || type == "Float" || type == "BitString")
    return str(type == "Float" ? "fval" : type == "BitString" ? "bsval" : "sval");
  if (type == "Integer") return str("ival");
  if (type == "Boolean") return str("boolval");
  if (type == "A_Const") {
    for (const char* name : {"sval", "ival", "fval", "boolval", "bsval"}) {
      if (has(name)) return (*this)[name].str(name);
    }
  }
  return {};
}

Result<Tree> parse_statement(std::string_view text) { return limited<Tree>(text, parse_here); }

Result<std::string> fingerprint(std::string_view text) {
  return limited<std::string>(text, fingerprint_here);
}

}  // namespace domicile::sqltext
