#include "store/guard_path.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "crypto/sha256.h"
#include "pg/connection.h"
#include "store/guard_sql.h"

namespace domicile::store {
namespace {

std::string q(const std::string& name) { return pg::quote_identifier(name); }

// "FROM a p1 JOIN b p2 ON ..."; the caller adds WHERE for the first step.
std::string joins(const ResolvedPath& path) {
  std::string sql = fmt::format("{} p1", quoted(path.steps[0].table));
  for (std::size_t i = 1; i < path.steps.size(); ++i) {
    const auto& step = path.steps[i];
    std::vector<std::string> on;
    for (std::size_t c = 0; c < step.columns.size(); ++c) {
      on.push_back(
          fmt::format("p{}.{} = p{}.{}", i + 1, q(step.referenced[c]), i, q(step.columns[c])));
    }
    sql += fmt::format(" JOIN {} p{} ON {}", quoted(step.table), i + 1, fmt::join(on, " AND "));
  }
  return sql;
}

std::string short_name(const ResolvedPath& path) {
  std::string text;
  for (const auto& step : path.steps) {
    text += fmt::format("{}|{}|{};", fmt::join(step.columns, ","), quoted(step.table),
                        fmt::join(step.referenced, ","));
  }
  std::string parent;
  for (char c : path.steps[0].table.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (parent.size() < 40) parent.push_back(plain ? c : '_');
  }
  return parent + "_" + crypto::sha256_hex(text + path.key).substr(0, 8);
}

std::string arguments(const ResolvedPath& path) {
  std::string out;
  for (std::size_t i = 0; i < path.argument_types.size(); ++i) {
    out += fmt::format("a{} {}, ", i + 1, path.argument_types[i]);
  }
  return out;
}

std::string where_first(const ResolvedPath& path) {
  std::vector<std::string> on;
  const auto& step = path.steps[0];
  for (std::size_t i = 0; i < step.referenced.size(); ++i) {
    on.push_back(fmt::format("p1.{} = a{}", q(step.referenced[i]), i + 1));
  }
  return fmt::format("{}", fmt::join(on, " AND "));
}

}  // namespace

std::optional<PathProblem> resolve_path(const catalog::Catalog& catalog,
                                        const catalog::Schema& schema, const catalog::Table& table,
                                        ResolvedPath& out) {
  const catalog::TableShape* from = schema.find(table.name);
  for (const catalog::PathStep& given : table.path) {
    const catalog::TableShape* parent = schema.find(given.references);
    const catalog::Table* classified = catalog.find(given.references);
    if (from == nullptr || parent == nullptr || classified == nullptr) {
      return PathProblem{fmt::format("its path goes through {}, which is not in the database",
                                     to_string(given.references)),
                         "correct the path in the catalog"};
    }
    ResolvedPath::Step step{given.columns, given.references, given.referenced_columns};
    if (step.referenced.empty() && parent->primary_key() != nullptr)
      step.referenced = parent->primary_key()->columns;
    if (step.referenced.size() != step.columns.size()) {
      return PathProblem{fmt::format("{} columns point at {} of {}", step.columns.size(),
                                     step.referenced.size(), to_string(given.references)),
                         "name the referenced columns in the path: \"(a, b) -> s.t (x, y)\""};
    }
    for (std::size_t i = 0; i < step.columns.size(); ++i) {
      const catalog::Column* column = from->column(step.columns[i]);
      if (column == nullptr || parent->column(step.referenced[i]) == nullptr) {
        return PathProblem{
            fmt::format("its path names {}.{} -> {}.{}, and one of them does not exist",
                        to_string(from->name), step.columns[i], to_string(parent->name),
                        step.referenced[i]),
            "correct the path in the catalog"};
      }
      if (out.steps.empty()) out.argument_types.push_back(column->type);
    }
    out.steps.push_back(std::move(step));
    out.key =
        table.table_class == catalog::TableClass::person ? classified->person : classified->key;
    out.shared = classified->table_class == catalog::TableClass::mixed;
    from = parent;
  }
  if (out.steps.empty() || out.key.empty() || from->column(out.key) == nullptr) {
    return PathProblem{"its path does not end at a table with a key",
                       "correct the path in the catalog"};
  }
  return std::nullopt;
}

std::string home_function_name(const ResolvedPath& path) {
  return "domicile.home_" + short_name(path);
}
std::string seen_function_name(const ResolvedPath& path) {
  return "domicile.seen_" + short_name(path);
}

// EXECUTE is granted here and below because the installer's default privileges may not.
std::string home_function(const ResolvedPath& path, domain::KeyType type) {
  return fmt::format(
      R"(CREATE OR REPLACE FUNCTION {0}({1}gone boolean) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $home$
DECLARE
  organization {2};
BEGIN
  SELECT p{3}.{4} INTO organization FROM {5} WHERE {6};
  IF FOUND THEN
    {7}RETURN domicile.homed(organization);
  END IF;
  IF gone THEN RETURN true; END IF;
  RAISE EXCEPTION 'domicile: the row that says which organization this one belongs to is not there'
    USING ERRCODE = '23514', CONSTRAINT = 'domicile_home', HINT = {8};
END
$home$;
GRANT EXECUTE ON FUNCTION {0}({1}gone boolean) TO PUBLIC;
ALTER FUNCTION {0}({1}gone boolean) OWNER TO domicile_owner)",
      home_function_name(path), arguments(path), domain::to_string(type), path.steps.size(),
      q(path.key), joins(path), where_first(path),
      path.shared
          ? "IF organization IS NULL THEN RETURN domicile.reference_writable(); END IF;\n    "
          : "",
      pg::quote_literal(fmt::format("Store the row of {} first.", to_string(path.steps[0].table))));
}

std::string seen_function(const ResolvedPath& path, domain::KeyType type) {
  return fmt::format(
      R"(CREATE OR REPLACE FUNCTION {0}({1}spec text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $home$
DECLARE
  organization {2};
BEGIN
  IF current_setting('transaction_isolation') = 'serializable' THEN RETURN true; END IF;
  SELECT p{3}.{4} INTO organization FROM {5} WHERE {6};
  RETURN domicile.observed(organization, CASE WHEN FOUND THEN overlay(spec PLACING '{7}' FROM 1 FOR 1) ELSE spec END);
EXCEPTION WHEN OTHERS THEN
  RETURN true;
END
$home$;
GRANT EXECUTE ON FUNCTION {0}({1}spec text) TO PUBLIC;
ALTER FUNCTION {0}({1}spec text) OWNER TO domicile_owner)",
      seen_function_name(path), arguments(path), domain::to_string(type), path.steps.size(),
      q(path.key), joins(path), where_first(path), path.shared ? "m" : "k");
}

std::vector<std::string> path_grants(const ResolvedPath& path) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < path.steps.size(); ++i) {
    std::vector<std::string> columns;
    for (const auto& column : path.steps[i].referenced) columns.push_back(q(column));
    if (i + 1 < path.steps.size()) {
      for (const auto& column : path.steps[i + 1].columns) columns.push_back(q(column));
    } else {
      columns.push_back(q(path.key));
    }
    out.push_back(
        fmt::format("GRANT USAGE ON SCHEMA {} TO domicile_owner", q(path.steps[i].table.schema)));
    out.push_back(fmt::format("GRANT SELECT ({}) ON {} TO domicile_owner", fmt::join(columns, ", "),
                              quoted(path.steps[i].table)));
  }
  return out;
}

std::string path_keys(const ResolvedPath& path, const std::string& table) {
  std::string sql =
      fmt::format("SELECT p{}.{} AS k FROM {} p0", path.steps.size(), q(path.key), table);
  for (std::size_t i = 0; i < path.steps.size(); ++i) {
    const auto& step = path.steps[i];
    std::vector<std::string> on;
    for (std::size_t c = 0; c < step.columns.size(); ++c)
      on.push_back(
          fmt::format("p{}.{} = p{}.{}", i + 1, q(step.referenced[c]), i, q(step.columns[c])));
    sql +=
        fmt::format(" LEFT JOIN {} p{} ON {}", quoted(step.table), i + 1, fmt::join(on, " AND "));
  }
  return sql;
}

std::string path_exists(const ResolvedPath& path, const std::string& table,
                        const std::string& condition) {
  std::vector<std::string> on;
  const auto& step = path.steps[0];
  for (std::size_t i = 0; i < step.columns.size(); ++i) {
    on.push_back(fmt::format("p1.{} = {}.{}", q(step.referenced[i]), table, q(step.columns[i])));
  }
  return fmt::format("EXISTS (SELECT FROM {} WHERE {} AND p{}.{} {})", joins(path),
                     fmt::join(on, " AND "), path.steps.size(), q(path.key), condition);
}

}  // namespace domicile::store
