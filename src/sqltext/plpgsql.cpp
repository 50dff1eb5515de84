#include "sqltext/plpgsql.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <pg_query.h>
#include <simdjson.h>
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

#include "sqltext/large_stack.h"
#include "sqltext/parse.h"
#include "sqltext/statements.h"

namespace domicile::sqltext {
namespace {

using Element = simdjson::dom::element;

// Walks the parser's JSON: statements are objects named PLpgSQL_stmt_..., and every piece of SQL is a
// PLpgSQL_expr in a field of one.
class Walk {
 public:
  explicit Walk(std::vector<PlpgsqlQuery>& out) : out_(out) {}

  void element(const Element& from, std::string_view statement, std::string_view field,
               std::size_t line, std::size_t depth) {
    if (depth > kDepthMax) return;
    simdjson::dom::object object;
    simdjson::dom::array array;
    if (!from.get(array)) {
      for (const auto child : array) element(child, statement, field, line, depth + 1);
    }
    if (from.get(object)) return;
    std::int64_t here = 0;
    if (!object["lineno"].get(here) && here > 0) line = static_cast<std::size_t>(here);
    for (const auto child : object) {
      if (child.key == "PLpgSQL_expr") {
        expression(child.value, statement, field, line);
      } else if (child.key.starts_with("PLpgSQL_stmt_")) {
        element(child.value, child.key.substr(13), {}, line, depth + 1);
      } else {
        const bool inner = child.key.starts_with("PLpgSQL_");
        element(child.value, statement, inner ? field : child.key, line, depth + 1);
      }
    }
  }

 private:
  void expression(const Element& from, std::string_view statement, std::string_view field,
                  std::size_t line) {
    std::string_view text;
    if (from["query"].get(text) || text.empty()) return;
    PlpgsqlQuery& query = out_.emplace_back();
    query.text = text;
    query.line = line;
    query.dynamic = field == "dynquery" || (statement.starts_with("dyn") && field == "query");
    query.statement = !query.dynamic && (field == "sqlstmt" || field == "query" ||
                                         (statement == "perform" && field == "expr"));
  }

  std::vector<PlpgsqlQuery>& out_;
};

// libpg_query 15 forgets its own copy of what the parser wrote to standard error, a byte a call: that
// is not counted as our leak.
PgQueryPlpgsqlParseResult parse_plpgsql(const std::string& text) {
#if __has_feature(address_sanitizer)
  const __lsan::ScopedDisabler not_ours;
#endif
  return pg_query_parse_plpgsql(text.c_str());
}

Result<std::vector<PlpgsqlQuery>> parts_here(const std::string& text) {
  PgQueryPlpgsqlParseResult parsed = parse_plpgsql(text);
  struct Free {
    PgQueryPlpgsqlParseResult& of;
    ~Free() { pg_query_free_plpgsql_parse_result(of); }
  } const free{parsed};
  if (parsed.error != nullptr) return fail(Code::invalid, parsed.error->message, "sql_syntax");
  const std::string_view json = parsed.plpgsql_funcs;
  simdjson::dom::parser parser;
  Element document;
  simdjson::dom::array functions;
  if (parser.allocate(json.size(), 4 * kTokensMax) != simdjson::SUCCESS ||
      parser.parse(json.data(), json.size(), true).get(document) != simdjson::SUCCESS ||
      document.get(functions) != simdjson::SUCCESS) {
    return fail(Code::invalid, "the block cannot be read", "sql_tree");
  }
  const bool any = std::ranges::any_of(functions, [](const Element& function) {
    Element body;
    return function["PLpgSQL_function"]["action"].get(body) == simdjson::SUCCESS;
  });
  if (!any) return fail(Code::invalid, "it is no PL/pgSQL", "sql_syntax");
  std::vector<PlpgsqlQuery> out;
  Walk(out).element(document, {}, {}, 0, 0);
  return out;
}

}  // namespace

Result<std::vector<PlpgsqlQuery>> plpgsql_parts(std::string_view text) {
  if (text.size() > kStatementBytesMax || text.find('\0') != std::string_view::npos)
    return fail(Code::invalid, "the block is too long, or holds a zero byte", "sql_too_long");
  std::size_t tokens = 0;
  for (const auto& statement : split_statements(text)) tokens += statement.tokens;
  if (tokens > kTokensMax)
    return fail(Code::invalid, fmt::format("the block has more than {} words", kTokensMax),
                "sql_too_long");
  const std::string copy(text);
  std::optional<Result<std::vector<PlpgsqlQuery>>> result;
  on_large_stack([&] { result = parts_here(copy); });
  return *std::move(result);
}

Result<std::vector<std::string>> plpgsql_queries(std::string_view text) {
  std::vector<std::string> out;
  for (PlpgsqlQuery& query : TRY(plpgsql_parts(text))) {
    if (!query.dynamic) out.push_back(std::move(query.text));
  }
  return out;
}

}  // namespace domicile::sqltext
