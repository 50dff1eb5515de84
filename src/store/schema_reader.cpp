#include "store/schema_reader.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace domicile::store {
namespace {

using catalog::QualifiedName;
using catalog::Relation;
using catalog::Schema;
using catalog::TableShape;

// Lists inside one value are separated by the unit separator, which no sane name holds.
constexpr char kSeparator = '\x1f';

constexpr const char* kSchemas = R"sql(
SELECT n.nspname
  FROM pg_namespace n
 WHERE n.nspname !~ '^(pg_|information_schema$|domicile(_|$))'
   AND has_schema_privilege(n.oid, 'USAGE')
 ORDER BY 1)sql";

// Sizes are the planner's page counts: exact sizes would need a lock on every table.
constexpr const char* kRelations = R"sql(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.reltuples::float8::text,
       (c.relpages::bigint
        + coalesce((SELECT sum(i.relpages) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                     WHERE x.indrelid = c.oid), 0)
        + coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = c.reltoastrelid), 0))
       * current_setting('block_size')::bigint,
       coalesce(d.description, ''), coalesce(e.extname, ''),
       coalesce(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false),
       coalesce(pn.nspname, ''), coalesce(p.relname, ''),
       (coalesce(pg_stat_get_numscans(c.oid), 0)
        + coalesce((SELECT sum(pg_stat_get_numscans(x.indexrelid)) FROM pg_index x
                     WHERE x.indrelid = c.oid), 0))::bigint,
       (coalesce(pg_stat_get_tuples_inserted(c.oid), 0) + coalesce(pg_stat_get_tuples_updated(c.oid), 0)
        + coalesce(pg_stat_get_tuples_deleted(c.oid), 0))::bigint
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
  LEFT JOIN pg_depend x ON x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.objsubid = 0
                       AND x.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = x.refobjid
  LEFT JOIN LATERAL (SELECT CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid
                                 ELSE (SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = c.oid
                                        ORDER BY h.inhseqno LIMIT 1) END AS oid) up ON true
  LEFT JOIN pg_class p ON p.oid = up.oid
  LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
 WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C")sql";

constexpr const char* kColumns = R"sql(
SELECT a.attrelid, a.attname,
       format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),
       a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), a.attgenerated <> '',
       a.atthasdef OR a.attidentity <> '', coalesce(d.description, ''),
       c.relkind = 'p' AND EXISTS (SELECT FROM pg_partition_tree(c.oid) b JOIN pg_partitioned_table k ON k.partrelid = b.relid
         JOIN pg_attribute v ON v.attrelid = b.relid AND v.attnum = ANY (k.partattrs) WHERE v.attname = a.attname)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
 WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
   AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum)sql";

constexpr const char* kIndexes = R"sql(
SELECT x.indrelid, i.relname, x.indisunique, x.indisprimary, x.indpred IS NOT NULL,
       (SELECT coalesce(string_agg(coalesce(a.attname::text, ''), chr(31) ORDER BY k.place), '')
          FROM generate_series(0, x.indnkeyatts - 1) AS k(place)
          LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[k.place]
                                  AND x.indkey[k.place] <> 0)
  FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1::text[]) AND x.indisvalid
 ORDER BY x.indrelid, i.relname COLLATE "C")sql";

constexpr const char* kForeignKeys = R"sql(
SELECT f.conrelid, f.conname, rn.nspname, r.relname, f.convalidated, f.confdeltype,
       (SELECT string_agg(a.attname::text, chr(31) ORDER BY k.place)
          FROM unnest(f.conkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number),
       (SELECT string_agg(a.attname::text, chr(31) ORDER BY k.place)
          FROM unnest(f.confkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number)
  FROM pg_constraint f
  JOIN pg_class c ON c.oid = f.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class r ON r.oid = f.confrelid
  JOIN pg_namespace rn ON rn.oid = r.relnamespace
 WHERE f.contype = 'f' AND f.conparentid = 0 AND n.nspname = ANY ($1::text[])
 ORDER BY f.conrelid, f.conname COLLATE "C")sql";

constexpr const char* kViews = R"sql(
SELECT DISTINCT w.ev_class, n.nspname, r.relname
  FROM pg_rewrite w
  JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
  JOIN pg_namespace vn ON vn.oid = v.relnamespace AND vn.nspname = ANY ($1::text[])
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
  JOIN pg_class r ON r.oid = d.refobjid AND r.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_namespace n ON n.oid = r.relnamespace
 ORDER BY 1, 2, 3)sql";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find(kSeparator, at);
    out.emplace_back(text.substr(at, end - at));
    if (end == std::string_view::npos) return out;
    at = end + 1;
  }
}

Relation relation_of(std::string_view kind, bool partition) {
  if (partition) return Relation::partition;
  switch (kind.front()) {
    case 'p': return Relation::partitioned;
    case 'v': return Relation::view;
    case 'm': return Relation::materialized_view;
    case 'f': return Relation::foreign_table;
    default: return Relation::table;
  }
}

// The queries of one schema reading; tables are found again by their oid.
class Reading {
 public:
  Reading(pg::Connection& connection, const SchemaReaderOptions& options)
      : connection_(connection), options_(options) {}

  Result<Schema> run() {
    schema_.server_version = connection_.server_version();
    TRY(connection_.script(
        fmt::format("SET LOCAL statement_timeout = {}; SET LOCAL search_path = pg_catalog",
                    options_.statement_timeout.count())));
    schema_.database = std::string(TRY(connection_.query("SELECT current_database()")).text(0, 0));
    TRY(choose_schemas());
    TRY(relations());
    TRY(columns());
    TRY(indexes());
    TRY(foreign_keys());
    TRY(views());
    finish();
    return std::move(schema_);
  }

 private:
  Result<void> choose_schemas() {
    const auto rows = TRY(connection_.query(kSchemas));
    std::vector<std::string> there;
    for (int i = 0; i < rows.size(); ++i) there.emplace_back(rows.text(i, 0));
    for (const std::string& wanted : options_.schemas) {
      if (std::ranges::find(there, wanted) != there.end()) continue;
      return fail(Code::invalid,
                  fmt::format("there is no schema \"{}\" that this role may use; there are: {}",
                              wanted, fmt::join(there, ", ")));
    }
    schema_.schemas = options_.schemas.empty() ? std::move(there) : options_.schemas;
    std::ranges::sort(schema_.schemas);
    filter_ = {pg::array_literal(schema_.schemas)};
    return {};
  }

  Result<void> relations() {
    const auto rows = TRY(connection_.query(kRelations, filter_));
    schema_.tables.reserve(static_cast<std::size_t>(rows.size()));
    for (int i = 0; i < rows.size(); ++i) {
      TableShape table;
      table.name = {std::string(rows.text(i, 1)), std::string(rows.text(i, 2))};
      table.relation = relation_of(rows.text(i, 3), rows.boolean(i, 4));
      table.rows = std::stod(std::string(rows.text(i, 5)));
      table.bytes = rows.integer(i, 6);
      table.comment = rows.text(i, 7);
      table.extension = rows.text(i, 8);
      table.security_invoker = rows.boolean(i, 9);
      table.parent = {std::string(rows.text(i, 10)), std::string(rows.text(i, 11))};
      table.scans = rows.integer(i, 12);
      table.writes = rows.integer(i, 13);
      by_oid_.emplace(rows.integer(i, 0), schema_.tables.size());
      schema_.tables.push_back(std::move(table));
    }
    return {};
  }

  TableShape* table_of(const pg::Rows& rows, int row) {
    const auto at = by_oid_.find(rows.integer(row, 0));
    return at == by_oid_.end() ? nullptr : &schema_.tables[at->second];
  }

  Result<void> columns() {
    const auto rows = TRY(connection_.query(kColumns, filter_));
    for (int i = 0; i < rows.size(); ++i) {
      TableShape* table = table_of(rows, i);
      if (table == nullptr) continue;
      table->columns.push_back({.name = std::string(rows.text(i, 1)),
                                .type = std::string(rows.text(i, 2)),
                                .not_null = rows.boolean(i, 3),
                                .generated = rows.boolean(i, 4),
                                .has_default = rows.boolean(i, 5),
                                .comment = std::string(rows.text(i, 6)),
                                .partitions = rows.boolean(i, 7)});
    }
    return {};
  }

  Result<void> indexes() {
    const auto rows = TRY(connection_.query(kIndexes, filter_));
    for (int i = 0; i < rows.size(); ++i) {
      TableShape* table = table_of(rows, i);
      if (table == nullptr) continue;
      catalog::Index index{.name = std::string(rows.text(i, 1)),
                           .columns = split(rows.text(i, 5)),
                           .unique = rows.boolean(i, 2),
                           .primary = rows.boolean(i, 3),
                           .partial = rows.boolean(i, 4)};
      // An expression has no name: only the plain columns before it lead the index.
      const auto expression = std::ranges::find(index.columns, std::string());
      index.complete = expression == index.columns.end() && !index.columns.empty();
      index.columns.erase(expression, index.columns.end());
      table->indexes.push_back(std::move(index));
    }
    return {};
  }

  Result<void> foreign_keys() {
    const auto rows = TRY(connection_.query(kForeignKeys, filter_));
    for (int i = 0; i < rows.size(); ++i) {
      TableShape* table = table_of(rows, i);
      if (table == nullptr) continue;
      table->foreign_keys.push_back(
          {.name = std::string(rows.text(i, 1)),
           .columns = split(rows.text(i, 6)),
           .references = {std::string(rows.text(i, 2)), std::string(rows.text(i, 3))},
           .referenced_columns = split(rows.text(i, 7)),
           .validated = rows.boolean(i, 4),
           .on_delete = rows.text(i, 5).front()});
    }
    return {};
  }

  Result<void> views() {
    const auto rows = TRY(connection_.query(kViews, filter_));
    for (int i = 0; i < rows.size(); ++i) {
      TableShape* view = table_of(rows, i);
      if (view != nullptr)
        view->reads.push_back({std::string(rows.text(i, 1)), std::string(rows.text(i, 2))});
    }
    return {};
  }

  // The server sorted by bytes, as find() expects; sizes of partitions belong to their root.
  void finish() {
    std::map<QualifiedName, TableShape> sums;
    for (const TableShape& table : schema_.tables) {
      if (table.relation != Relation::partition || table.parent.name.empty()) continue;
      TableShape& sum = sums.try_emplace(table.parent, TableShape{.rows = 0}).first->second;
      sum.rows += std::max(table.rows, 0.0);
      sum.bytes += table.bytes;
      sum.scans += table.scans;
      sum.writes += table.writes;
    }
    for (TableShape& table : schema_.tables) {
      const auto sum = sums.find(table.name);
      if (table.relation != Relation::partitioned || sum == sums.end()) continue;
      table.rows = std::max(table.rows, sum->second.rows);
      table.bytes = sum->second.bytes;
      table.scans = sum->second.scans;
      table.writes = sum->second.writes;
    }
    std::ranges::sort(schema_.tables, {}, &TableShape::name);
  }

  pg::Connection& connection_;
  const SchemaReaderOptions& options_;
  std::vector<pg::Param> filter_;
  Schema schema_;
  std::map<std::int64_t, std::size_t> by_oid_;
};

}  // namespace

Result<Schema> read_schema(pg::Connection& connection, const SchemaReaderOptions& options) {
  Result<Schema> schema = fail(Code::internal, "");
  const auto done = connection.transaction(
      [&]() -> Result<void> {
        schema = Reading(connection, options).run();
        if (!schema) return std::unexpected(schema.error());
        return {};
      },
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!done) return std::unexpected(Error(done.error()).within("reading the schema"));
  return schema;
}

}  // namespace domicile::store
