// The questions that propose() asks the rows, as bounded SQL: one statement per table, over a
// sample.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "catalog/naming.h"
#include "store/guard_sql.h"
#include "store/schema_reader.h"
#include "store/way_sql.h"

namespace domicile::store {
namespace {

using catalog::Facts;
using catalog::PathStep;
using catalog::Probe;
using catalog::QualifiedName;
using catalog::Schema;
using catalog::Way;
using pg::quote_identifier;

// A bounded part of a table: its first rows when it is small, rows of random pages when it is
// large.
std::string sample_of(const Schema& schema, const QualifiedName& name, std::int64_t rows) {
  const catalog::TableShape* table = schema.find(name);
  std::string pages;
  const double known = table == nullptr ? -1 : table->rows;
  if (known > 3.0 * static_cast<double>(rows)) {
    pages = fmt::format(" TABLESAMPLE SYSTEM ({:.8f}) REPEATABLE (1)",
                        std::min(100.0, 300.0 * static_cast<double>(rows) / known));
  }
  return fmt::format("(SELECT * FROM {}{} LIMIT {})", quoted(name), pages, rows);
}

std::string ways_query(const Schema& schema, const Probe& probe, std::int64_t rows) {
  std::string joins;
  std::string columns;
  Followed first = follow(probe.ways[0], "s", "w0_");
  joins += first.joins;
  if (probe.root) {
    const PathStep& root = *probe.root;
    joins += fmt::format("\n  LEFT JOIN {} r ON r.{} = s.{}", quoted(root.references),
                         quote_identifier(root.referenced_columns[0]),
                         quote_identifier(root.columns[0]));
    first.orphan =
        fmt::format("(s.{} IS NOT NULL AND r.{} IS NULL)", quote_identifier(root.columns[0]),
                    quote_identifier(root.referenced_columns[0]));
  }
  for (std::size_t i = 1; i < probe.ways.size(); ++i) {
    const Followed other = follow(probe.ways[i], "s", fmt::format("w{}_", i));
    joins += other.joins;
    columns += fmt::format(",\n  count(*) FILTER (WHERE {} <> {})", other.organization,
                           first.organization);
  }
  return fmt::format(
      "SELECT count(*),\n  count(*) FILTER (WHERE {}),\n  count(*) FILTER (WHERE {}),\n  "
      "count(DISTINCT {}){}\n  FROM {} s{}",
      first.missing, first.orphan, first.organization, columns,
      sample_of(schema, probe.table, rows), joins);
}

std::string uses_query(const Schema& schema, const Probe& probe, std::int64_t rows) {
  std::string pairs;
  for (const catalog::Use& use : probe.uses) {
    const Followed followed = follow(use.way, "s", "w");
    std::string row;
    for (const std::string& column : use.step.columns) {
      row +=
          fmt::format("{}s.{}::text", row.empty() ? "" : " || '|' || ", quote_identifier(column));
    }
    pairs += fmt::format("{}SELECT {} AS used, {} AS organization FROM {} s{}",
                         pairs.empty() ? "" : "\n  UNION ALL ", row, followed.organization,
                         sample_of(schema, use.by, rows), followed.joins);
  }
  return fmt::format(
      "WITH pairs AS MATERIALIZED (\n  {})\nSELECT count(*), count(*) FILTER (WHERE n > 1),\n"
      "  (SELECT count(DISTINCT organization) FROM pairs)\n  FROM (SELECT used, count(DISTINCT "
      "organization) AS n FROM pairs\n"
      "         WHERE used IS NOT NULL AND organization IS NOT NULL GROUP BY used) x",
      pairs);
}

class Asking {
 public:
  Asking(pg::Connection& connection, const Schema& schema, const FactsOptions& options)
      : connection_(connection), schema_(schema), options_(options) {}

  // Nothing: nobody could tell, and `why` says the reason.
  Result<std::optional<Facts>> ask(const Probe& probe, std::string& why) {
    Facts facts;
    const auto done = connection_.transaction(
        [&]() -> Result<void> {
          // Nested loops over the parents' keys read as many parents as there are sampled rows, no
          // more.
          TRY(connection_.script(
              fmt::format("SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET "
                          "LOCAL search_path = pg_catalog; "
                          "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET "
                          "LOCAL jit = off; "
                          "SET LOCAL max_parallel_workers_per_gather = 0",
                          options_.statement_timeout.count(), options_.lock_timeout.count())));
          if (!probe.ways.empty()) TRY(ask_ways(probe, facts));
          if (!probe.uses.empty()) TRY(ask_uses(probe, facts));
          if (!probe.type_column.empty()) TRY(ask_types(probe, facts));
          if (!probe.perhaps_keys.empty()) TRY(ask_keys(probe, facts));
          return {};
        },
        "BEGIN READ ONLY");
    if (done) return facts;
    const bool lost = done.error().reason.empty() || done.error().reason.starts_with("08") ||
                      done.error().reason.starts_with("57P");
    if (lost) return std::unexpected(done.error());
    why = done.error().code == Code::timeout
              ? fmt::format("it took longer than {} ms", options_.statement_timeout.count())
          : done.error().reason == "55P03" ? "another session holds a lock on it"
                                           : done.error().message;
    return std::nullopt;
  }

 private:
  Result<void> ask_ways(const Probe& probe, Facts& facts) {
    const auto rows = TRY(connection_.query(ways_query(schema_, probe, options_.sample_rows)));
    facts.way = to_string(probe.ways[0]);
    facts.sampled_rows = rows.integer(0, 0);
    facts.null_keys = rows.integer(0, 1);
    facts.orphans = rows.integer(0, 2);
    facts.organizations = rows.integer(0, 3);
    for (std::size_t i = 1; i < probe.ways.size(); ++i) {
      const std::int64_t differing = rows.integer(0, static_cast<int>(i) + 3);
      if (differing <= facts.rows_of_two_organizations) continue;
      facts.rows_of_two_organizations = differing;
      facts.second_way = to_string(probe.ways[i]);
    }
    return {};
  }

  Result<void> ask_uses(const Probe& probe, Facts& facts) {
    const auto rows = TRY(connection_.query(uses_query(schema_, probe, options_.sample_rows)));
    facts.used_rows = rows.integer(0, 0);
    facts.used_by_several = rows.integer(0, 1);
    facts.organizations = std::max(facts.organizations, rows.integer(0, 2));
    return {};
  }

  Result<void> ask_types(const Probe& probe, Facts& facts) {
    const auto rows =
        TRY(connection_.query(fmt::format("SELECT DISTINCT left(s.{0}::text, 63) FROM {1} s WHERE "
                                          "s.{0} IS NOT NULL ORDER BY 1 LIMIT 12",
                                          quote_identifier(probe.type_column),
                                          sample_of(schema_, probe.table, options_.sample_rows))));
    for (int i = 0; i < rows.size(); ++i) facts.type_values.emplace_back(rows.text(i, 0));
    return {};
  }

  Result<void> ask_keys(const Probe& probe, Facts& facts) {
    constexpr std::int64_t kDifferentMin = 3;
    const std::string& key = probe.key_of->referenced_columns[0];
    const catalog::TableShape* root = schema_.find(probe.key_of->references);
    const catalog::Column* shape = root == nullptr ? nullptr : root->column(key);
    const bool numbers =
        shape != nullptr && catalog::family_of(shape->type) == catalog::TypeFamily::integer;
    std::string counts;
    for (const std::string& column : probe.perhaps_keys) {
      counts += fmt::format(
          "{0}count(DISTINCT s.{1}), count(DISTINCT s.{1}) FILTER (WHERE NOT EXISTS (SELECT FROM "
          "{2} r WHERE r.{3} = s.{1}))",
          counts.empty() ? "" : ", ", quote_identifier(column), quoted(probe.key_of->references),
          quote_identifier(key));
    }
    const auto rows = TRY(connection_.query(fmt::format(
        "SELECT {} FROM {} s", counts, sample_of(schema_, probe.table, options_.sample_rows))));
    for (std::size_t i = 0; i < probe.perhaps_keys.size(); ++i) {
      const int at = static_cast<int>(2 * i);
      if (rows.integer(0, at) < kDifferentMin || rows.integer(0, at + 1) != 0) continue;
      if (numbers)
        TRY(ask_number(probe, probe.perhaps_keys[i], rows.integer(0, at), facts));
      else
        facts.keys_by_value.push_back(probe.perhaps_keys[i]);
    }
    return {};
  }

  // How tightly a column of numbers matches the organizations' keys. Their number is counted up to a
  // limit: beyond it, covering most of them is no argument anyway.
  Result<void> ask_number(const Probe& probe, const std::string& column, std::int64_t different,
                          Facts& facts) {
    const std::string key = quote_identifier(probe.key_of->referenced_columns[0]);
    const std::string root = quoted(probe.key_of->references);
    std::string joins;
    std::string compared = "0::bigint AS agree, 0::bigint AS differ";
    if (!probe.ways.empty() && probe.ways[0] != catalog::Way{{}, column}) {
      const Followed other = follow(probe.ways[0], "s", "w");
      joins = other.joins;
      compared = fmt::format(
          "count(*) FILTER (WHERE {0} = s.{1}::text) AS agree, count(*) FILTER (WHERE {0} <> "
          "s.{1}::text) AS "
          "differ",
          other.organization, quote_identifier(column));
    }
    const auto rows = TRY(connection_.query(
        fmt::format("WITH seen AS MATERIALIZED (SELECT min(s.{0}) AS low, max(s.{0}) AS high, {1} "
                    "FROM {2} s{3})\n"
                    "SELECT (SELECT count(*) FROM (SELECT FROM {4} LIMIT 10000) k),\n"
                    "  high::numeric - low + 1 - (SELECT count(*) FROM {4} r WHERE r.{5} BETWEEN "
                    "low AND high), "
                    "agree, differ FROM seen",
                    quote_identifier(column), compared,
                    sample_of(schema_, probe.table, options_.sample_rows), joins, root, key)));
    facts.number_matches.push_back({.column = column,
                                    .different = different,
                                    .keys = rows.integer(0, 0),
                                    .gaps = rows.integer(0, 1),
                                    .agree = rows.integer(0, 2),
                                    .differ = rows.integer(0, 3)});
    return {};
  }

  pg::Connection& connection_;
  const Schema& schema_;
  const FactsOptions& options_;
};

}  // namespace

Result<FactsRead> read_facts(pg::Connection& connection, const Schema& schema,
                             const std::vector<Probe>& probes, const FactsOptions& options) {
  FactsRead out;
  Asking asking(connection, schema, options);
  const auto end = std::chrono::steady_clock::now() + options.budget;
  for (const Probe& probe : probes) {
    if (std::chrono::steady_clock::now() > end) {
      out.skipped.emplace_back(probe.table, "the time for looking at rows was used up");
      continue;
    }
    std::string why;
    auto facts = asking.ask(probe, why);
    if (!facts)
      return std::unexpected(Error(facts.error()).within("looking at " + to_string(probe.table)));
    if (*facts)
      out.facts.emplace(probe.table, **std::move(facts));
    else
      out.skipped.emplace_back(probe.table, why);
  }
  return out;
}

}  // namespace domicile::store
