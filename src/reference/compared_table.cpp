#include "reference/compared_table.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>

namespace domicile::reference {
namespace {

// The key is the primary key. A row of no columns stands for a table that has none to compare.
constexpr const char* kTables = R"SQL(
SELECT k.schema_name, k.table_name, a.attname, pg_catalog.format_type(a.atttypid, -1),
       CASE WHEN b.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'float'
            WHEN b.typtype = 'e' OR b.oid = ANY ('{bool,int2,int4,int8,numeric,text,varchar,bpchar,name,bytea,date,time,timetz,
              timestamp,timestamptz,interval,uuid,json,jsonb,inet,cidr,macaddr,macaddr8,bit,varbit,money}'::regtype[])
            THEN 'binary' ELSE 'text' END,
       coalesce(pg_catalog.array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum), -1),
       greatest(c.reltuples, 0)::bigint,
       pg_catalog.concat_ws(' AND ', p.rowfilter, (SELECT pg_catalog.string_agg(pg_catalog.format('%I IS NULL', l.column_name), ' AND ')
        FROM domicile.reference_link l WHERE (l.schema_name, l.table_name, l.rule) = (k.schema_name, k.table_name, 'refuse'))),
       (SELECT pg_catalog.string_agg(t.relid::oid::text, E'\n' ORDER BY t.relid::oid) FROM parts t WHERE t.root = c.oid),
       (SELECT pg_catalog.string_agg(DISTINCT fn.nspname || '.' || f.relname, E'\n') FROM pg_catalog.pg_constraint x
        JOIN pg_catalog.pg_class f ON f.oid = x.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
        WHERE x.conrelid = c.oid AND x.contype = 'f' AND x.confrelid <> c.oid)
FROM domicile.reference_tables() k
JOIN pg_catalog.pg_namespace n ON n.nspname = k.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name AND c.relkind IN ('r', 'p') AND NOT c.relispartition
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
LEFT JOIN published p ON p.schemaname = k.schema_name AND p.tablename = k.table_name
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  AND (p.attnames IS NULL OR a.attname = ANY (p.attnames))
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (WITH RECURSIVE d AS (SELECT t.oid, t.typtype, t.typbasetype
                      UNION ALL SELECT u.oid, u.typtype, u.typbasetype FROM d JOIN pg_catalog.pg_type u ON u.oid = d.typbasetype)
                    SELECT d.oid, d.typtype FROM d WHERE d.typtype <> 'd') b
WHERE k.schema_name <> 'domicile'
ORDER BY 1, 2, coalesce(pg_catalog.array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum), 9999), a.attname)SQL";

// What holds rows of a table: itself, its partitions, what inherits.
constexpr const char* kParts = R"SQL(parts AS (
  WITH RECURSIVE p AS (
    SELECT c.oid AS root, c.oid AS relid, c.relkind FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    UNION ALL SELECT p.root, h.inhrelid, c.relkind FROM p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.relid
              JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid)
  SELECT DISTINCT root, relid FROM p WHERE relkind = 'r'))SQL";

// Before 15 a publication has neither columns nor filters.
std::string published(int server_version) {
  return server_version >= 150000
             ? "published AS (SELECT schemaname, tablename, attnames, rowfilter FROM "
               "pg_catalog.pg_publication_tables WHERE pubname = 'domicile_reference')"
             : "published AS (SELECT schemaname, tablename, NULL::name[] AS attnames, NULL::text "
               "AS "
               "rowfilter FROM pg_catalog.pg_publication_tables WHERE pubname = "
               "'domicile_reference')";
}

std::string expression_of(const std::string& column, std::string_view form) {
  const std::string quoted = pg::quote_identifier(column);
  if (form == "binary") return quoted;
  // Computed NaN may carry a sign, which no text shows.
  if (form == "float") return fmt::format("CASE WHEN {0} = 'NaN' THEN 'NaN' ELSE {0} END", quoted);
  return quoted + "::pg_catalog.text";
}

}  // namespace

std::string ComparedTable::quoted() const {
  return pg::quote_identifier(schema) + "." + pg::quote_identifier(name);
}

void ComparedTable::keep_columns_of(const ComparedTable& other) {
  const auto first = columns.begin() + static_cast<std::ptrdiff_t>(key_columns);
  columns.erase(std::remove_if(first, columns.end(),
                               [&](const ComparedColumn& column) {
                                 return std::ranges::find(other.columns, column.name,
                                                          &ComparedColumn::name) ==
                                        other.columns.end();
                               }),
                columns.end());
}

std::string ComparedTable::difference_from(const ComparedTable& other) const {
  for (std::size_t i = 0; i < std::max(columns.size(), other.columns.size()); ++i) {
    if (i >= columns.size()) return fmt::format("column {} is there alone", other.columns[i].name);
    if (i >= other.columns.size()) return fmt::format("column {} is here alone", columns[i].name);
    const ComparedColumn& ours = columns[i];
    const ComparedColumn& theirs = other.columns[i];
    if (ours.name != theirs.name)
      return fmt::format("column {} here, {} there", ours.name, theirs.name);
    if (ours.type != theirs.type)
      return fmt::format("column {} is {} here, {} there", ours.name, ours.type, theirs.type);
  }
  return key_columns == other.key_columns ? "" : "the primary keys have other columns";
}

Result<std::vector<ComparedTable>> read_compared_tables(pg::Connection& connection) {
  const auto rows = TRY(connection.query(
      fmt::format("WITH {}, {} {}", published(connection.server_version()), kParts, kTables)));
  std::vector<ComparedTable> tables;
  for (int i = 0; i < rows.size(); ++i) {
    if (tables.empty() || tables.back().schema != rows.text(i, 0) ||
        tables.back().name != rows.text(i, 1)) {
      ComparedTable& table = tables.emplace_back();
      table.schema = rows.text(i, 0);
      table.name = rows.text(i, 1);
      table.rows_estimated = rows.integer(i, 6);
      table.filter = rows.text(i, 7);
      for (const std::string& oid : rows.lines(i, 8)) {
        std::uint32_t part = 0;
        std::from_chars(oid.data(), oid.data() + oid.size(), part);
        table.parts.push_back(part);
      }
      table.parents = rows.lines(i, 9);
    }
    ComparedTable& table = tables.back();
    table.columns.push_back(
        {.name = std::string(rows.text(i, 2)),
         .type = std::string(rows.text(i, 3)),
         .expression = expression_of(std::string(rows.text(i, 2)), rows.text(i, 4))});
    if (rows.integer(i, 5) >= 0) ++table.key_columns;
  }
  return tables;
}

Result<void> set_canonical(pg::Connection& connection) {
  return connection.script(
      "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET "
      "extra_float_digits = 1; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET "
      "xmloption = "
      "'content'; SET lc_monetary = 'C'; SET search_path = pg_catalog, pg_temp; SET "
      "statement_timeout = 0; "
      "SET lock_timeout = '30s'; SET synchronize_seqscans = off; SET "
      "idle_in_transaction_session_timeout = 0; SET "
      "enable_seqscan = on");
}

void sort_by_parents(std::vector<ComparedTable>& tables) {
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < tables.size(); ++i) place[tables[i].label()] = i;
  std::vector<std::size_t> order;
  std::set<std::size_t> seen;
  const std::function<void(std::size_t)> visit = [&](std::size_t at) {
    if (!seen.insert(at).second) return;
    for (const std::string& parent : tables[at].parents)
      if (const auto found = place.find(parent); found != place.end()) visit(found->second);
    order.push_back(at);
  };
  for (std::size_t i = 0; i < tables.size(); ++i) visit(i);
  std::vector<ComparedTable> sorted;
  for (const std::size_t at : order) sorted.push_back(std::move(tables[at]));
  tables = std::move(sorted);
}

}  // namespace domicile::reference
