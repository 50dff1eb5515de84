#include "store/join_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "catalog/joins.h"

namespace domicile::store {
namespace {

constexpr std::int64_t kObjectsMax = 500;

// What each definition is called, and the call that prints it. Functions of extensions are not the
// application's.
constexpr const char* kDefinitions = R"sql(
SELECT * FROM (
  SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || n.nspname || '.' || c.relname AS what,
         format('SELECT pg_get_viewdef(%s::oid)', c.oid) AS ask
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('v', 'm') AND n.nspname = ANY ($1::text[])
  UNION ALL
  SELECT 'function ' || n.nspname || '.' || p.proname,
         CASE WHEN l.lanname = 'plpgsql' THEN format('SELECT pg_get_functiondef(%s::oid)', p.oid)
              WHEN p.prosqlbody IS NOT NULL THEN format('SELECT pg_get_function_sqlbody(%s::oid)', p.oid)
              ELSE format('SELECT prosrc FROM pg_proc WHERE oid = %s', p.oid) END
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
   WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p') AND n.nspname = ANY ($1::text[])
     AND length(p.prosrc) < 100000
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
) x ORDER BY what COLLATE "C", ask COLLATE "C" LIMIT $2)sql";

bool lost(const Error& error) {
  return error.reason.empty() || error.reason.starts_with("08") || error.reason.starts_with("57P");
}

}  // namespace

Result<void> read_joins(pg::Connection& connection, catalog::Schema& schema,
                        const JoinReaderOptions& options) {
  const std::string settings = fmt::format(
      "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET LOCAL search_path = "
      "pg_catalog",
      options.statement_timeout.count(), options.lock_timeout.count());
  const auto end = std::chrono::steady_clock::now() + options.budget;
  std::vector<std::pair<std::string, std::string>> objects;
  const auto listed = connection.transaction(
      [&]() -> Result<void> {
        TRY(connection.script(settings));
        const auto rows = TRY(connection.query(
            kDefinitions, {pg::array_literal(schema.schemas), std::to_string(kObjectsMax)}));
        for (int i = 0; i < rows.size(); ++i)
          objects.emplace_back(rows.text(i, 0), rows.text(i, 1));
        return {};
      },
      "BEGIN READ ONLY");
  if (!listed && lost(listed.error())) return std::unexpected(listed.error());
  std::vector<catalog::SqlText> texts;
  for (const auto& [what, ask] : objects) {
    if (std::chrono::steady_clock::now() > end) break;
    const auto read = connection.transaction(
        [&]() -> Result<void> {
          TRY(connection.script(settings));
          const auto rows = TRY(connection.query(ask));
          if (rows.size() == 1) texts.push_back({what, std::string(rows.text(0, 0))});
          return {};
        },
        "BEGIN READ ONLY");
    // Gone meanwhile, locked, not allowed: then it says nothing.
    if (!read && lost(read.error())) return std::unexpected(read.error());
  }
  schema.joins = catalog::joins_in(texts, schema);
  return {};
}

}  // namespace domicile::store
