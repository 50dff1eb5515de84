#include "store/schema_sizes.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/guard_sql.h"
#include "store/way_sql.h"

namespace domicile::store {
namespace {

using catalog::Relation;
using catalog::TableShape;
using pg::quote_identifier;

constexpr int kRowHeaderBytes = 28;  // tuple header and line pointer

std::string settings(const SizesOptions& options) {
  return fmt::format(
      "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET LOCAL search_path = "
      "pg_catalog; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0",
      options.statement_timeout.count(), options.lock_timeout.count());
}

class Measuring {
 public:
  Measuring(pg::Connection& connection, const catalog::Schema& schema, const SizesOptions& options)
      : connection_(connection), schema_(schema), options_(options) {}

  Result<TableSizes> measure(const SizeQuestion& question) {
    TableSizes out;
    out.table = question.table;
    const TableShape* shape = schema_.find(question.table);
    if (shape == nullptr || shape->relation == Relation::foreign_table) {
      out.skipped = "its rows lie in another database";
      return out;
    }
    const auto done = connection_.transaction(
        [&]() -> Result<void> {
          TRY(connection_.script(settings(options_)));
          const double share = options_.exact ? 1.0 : TRY(share_to_read(question.table));
          return count(question, *shape, share, out);
        },
        "BEGIN READ ONLY");
    if (done) return out;
    const std::string& state = done.error().reason;
    if (state.empty() || state.starts_with("08") || state.starts_with("57P"))
      return std::unexpected(Error(done.error()).within(to_string(question.table)));
    out = TableSizes{.table = question.table};
    out.skipped =
        done.error().code == Code::timeout
            ? fmt::format("it took longer than {} s", options_.statement_timeout.count() / 1000)
        : state == "55P03" ? "another session holds a lock on it"
                           : done.error().message;
    return out;
  }

 private:
  // How much of its pages may be read, from its size now.
  Result<double> share_to_read(const catalog::QualifiedName& name) {
    const auto rows = TRY(connection_.query(
        "SELECT coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(c.oid) WHERE "
        "isleaf), pg_relation_size(c.oid))::bigint "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2",
        {name.schema, name.name}));
    const double bytes = rows.size() == 0 ? 0 : static_cast<double>(rows.integer(0, 0));
    const auto most = static_cast<double>(options_.exact_bytes);
    return bytes <= most ? 1.0 : most / bytes;
  }

  Result<void> count(const SizeQuestion& question, const TableShape& shape, double share,
                     TableSizes& out) {
    std::string bytes = std::to_string(kRowHeaderBytes);
    for (const catalog::Column& column : shape.columns)
      bytes += fmt::format(" + coalesce(pg_column_size(s.{}), 0)", quote_identifier(column.name));
    // Tables that inherit from this one are counted as themselves.
    const std::string_view only = shape.relation == Relation::table ? "ONLY " : "";
    const std::string sample =
        share < 1.0 ? fmt::format(" TABLESAMPLE SYSTEM ({:.6f}) REPEATABLE (1)", share * 100) : "";
    Followed followed;
    followed.organization = "NULL::text";
    if (question.way) followed = follow(*question.way, "s", "w");
    const auto rows = TRY(connection_.query(
        fmt::format("SELECT {0}, {1}, count(*), sum({2})::bigint FROM {3}{4} s{5}{6} GROUP BY 1, 2",
                    followed.organization, followed.orphan, bytes, only, quoted(shape.name), sample,
                    followed.joins)));
    out.factor = 1 / share;
    for (int i = 0; i < rows.size(); ++i) {
      const Amount amount{static_cast<double>(rows.integer(i, 2)) * out.factor,
                          static_cast<double>(rows.integer(i, 3)) * out.factor};
      if (rows.boolean(i, 1))
        out.orphaned.add(amount);
      else if (rows.null(i, 0))
        out.without.add(amount);
      else
        out.organizations[std::string(rows.text(i, 0))].add(amount);
    }
    return {};
  }

  pg::Connection& connection_;
  const catalog::Schema& schema_;
  const SizesOptions& options_;
};

}  // namespace

Result<std::vector<TableSizes>> read_sizes(pg::Connection& connection,
                                           const catalog::Schema& schema,
                                           const std::vector<SizeQuestion>& questions,
                                           const SizesOptions& options,
                                           const std::function<void(std::size_t)>& progress) {
  std::vector<TableSizes> out;
  Measuring measuring(connection, schema, options);
  const auto end = std::chrono::steady_clock::now() + options.budget;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    progress(i);
    if (std::chrono::steady_clock::now() > end) {
      out.push_back({.table = questions[i].table});
      out.back().skipped = "the time for reading was used up";
    } else {
      out.push_back(TRY(measuring.measure(questions[i])));
    }
  }
  return out;
}

Result<std::map<std::int64_t, std::int64_t>> people_by_regions(
    pg::Connection& connection, const catalog::QualifiedName& members, const std::string& key,
    const std::string& person, const std::vector<std::string>& keys,
    const std::vector<std::string>& regions, const SizesOptions& options) {
  std::map<std::int64_t, std::int64_t> out;
  TRY(connection.transaction(
      [&]() -> Result<void> {
        TRY(connection.script(settings(options)));
        const auto rows = TRY(connection.query(
            fmt::format(
                "WITH home AS (SELECT * FROM unnest($1::text[], $2::text[]) AS h(key, region)) "
                "SELECT n, count(*) FROM (SELECT m.{0}, count(DISTINCT home.region) AS n "
                "FROM {1} m JOIN home ON home.key = m.{2}::text WHERE m.{0} IS NOT NULL "
                "GROUP BY 1) x GROUP BY 1",
                quote_identifier(person), quoted(members), quote_identifier(key)),
            {pg::array_literal(keys), pg::array_literal(regions)}));
        for (int i = 0; i < rows.size(); ++i) out[rows.integer(i, 0)] = rows.integer(i, 1);
        return {};
      },
      "BEGIN READ ONLY"));
  return out;
}

}  // namespace domicile::store
