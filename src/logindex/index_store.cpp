#include "logindex/index_store.h"

#include <optional>
#include <set>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "audit/event_reader.h"
#include "logindex/row.h"

namespace domicile::logindex {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

// A partition is made only for a day that a region's log can plausibly speak of: a clock that is far
// off must not make thousands.
constexpr days kPast{3'660};
constexpr days kFuture{1};
constexpr std::size_t kToldBundles = 10;
constexpr std::size_t kChunkBytes = 64u << 10;

std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace

Result<IndexStore> IndexStore::open(const std::string& dsn, const std::string& origin) {
  auto connection = TRY(pg::Connection::open(dsn));
  const auto there =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile_index.event') IS NOT NULL"));
  if (!there.boolean(0, 0)) {
    return fail(Code::not_found,
                fmt::format("{}: this database holds no index of a log; make one with: domicile "
                            "audit index create",
                            pg::redact_dsn(dsn)),
                "no_index");
  }
  TRY(connection.query(
      "INSERT INTO domicile_index.log (origin) VALUES ($1) ON CONFLICT (origin) DO NOTHING",
      {origin}));
  const auto row =
      TRY(connection.query("SELECT id FROM domicile_index.log WHERE origin = $1", {origin}));
  const std::int64_t log = row.integer(0, 0);
  return IndexStore(std::move(connection), origin, log);
}

Result<std::size_t> IndexStore::load(const Feed& feed, const Opener& opener, std::size_t most,
                                     sys_days today) {
  std::size_t taken = 0;
  const auto loaded = connection_.transaction([&]() -> Result<void> {
    // The lock: of two loaders one waits, and then goes on where the other stopped.
    const auto at = TRY(connection_.query(
        "SELECT next_sequence FROM domicile_index.log WHERE id = $1 FOR UPDATE", {number(log_)}));
    const auto from = static_cast<std::uint64_t>(at.integer(0, 0));
    const auto entries = TRY(feed(from, most));
    if (entries.empty()) return {};
    if (entries.front().sequence > from) {  // retention was faster than the index
      TRY(connection_.query("UPDATE domicile_index.log SET first_sequence = $2 WHERE id = $1",
                            {number(log_), number(entries.front().sequence)}));
    }
    TRY(make_partitions(entries, today));
    for (const auto& [sequence, organization] : TRY(store(entries, opener))) {
      TRY(erase(organization, sequence, feed, opener));
    }
    taken = entries.size();
    return {};
  });
  if (loaded) return taken;
  made_.clear();  // partitions went with the transaction
  return std::unexpected(loaded.error());
}

Result<void> IndexStore::make_partitions(const std::vector<Entry>& entries, sys_days today) {
  std::set<sys_days> wanted;
  std::uint64_t next = entries.front().sequence;
  for (const Entry& entry : entries) {
    if (entry.sequence != next) {
      return fail(Code::internal,
                  fmt::format("the log gave entry {} where {} belongs", entry.sequence, next));
    }
    ++next;
    const std::chrono::milliseconds since(audit::facts_of(entry.line).time_ms);
    const sys_days day{std::chrono::floor<days>(since)};
    if (day > today - kPast && day <= today + kFuture) wanted.insert(day);
  }
  for (const sys_days day : wanted) {
    if (made_.contains(day)) continue;
    TRY(connection_.query("SELECT domicile_index.ensure_day($1::pg_catalog.date)",
                          {fmt::format("{:%Y-%m-%d}", day)}));
  }
  made_.merge(wanted);
  return {};
}

// Rows are made while the server stores the ones before them.
Result<std::vector<IndexStore::Erasure>> IndexStore::store(const std::vector<Entry>& entries,
                                                           const Opener& opener) {
  std::vector<Erasure> erasures;
  auto entry = entries.begin();
  TRY(connection_.copy_in(
      fmt::format("COPY domicile_index.event ({}) FROM STDIN", kCopyColumns),
      [&]() -> std::optional<std::string> {
        if (entry == entries.end()) return std::nullopt;
        std::string rows;
        for (; entry != entries.end() && rows.size() < kChunkBytes; ++entry) {
          RowFacts facts = append_row(rows, log_, entry->sequence, opener(*entry));
          if (facts.erased) erasures.push_back({entry->sequence, std::move(facts.organization)});
        }
        return rows;
      }));
  TRY(
      connection_.query("UPDATE domicile_index.log SET next_sequence = $2, loaded_at = "
                        "pg_catalog.clock_timestamp() WHERE id = $1",
                        {number(log_), number(entries.back().sequence + 1)}));
  return erasures;
}

// The log says that somebody of the organization was erased, and not who: that would name them. So the
// organization's rows are asked of the vault again, one for each value, and what it no longer opens
// leaves the index.
Result<void> IndexStore::erase(const std::string& organization, std::uint64_t before,
                               const Feed& feed, const Opener& opener) {
  struct Personal {
    const char* value;  // SQL, as text
    const char* where;
    const char* forget;
  };
  static constexpr Personal kPersonal[] = {
      {"actor", "actor IS NOT NULL",
       "actor = NULL, source_ip = NULL, details = details - 'subject'"},
      {"subject", "subject IS NOT NULL", "subject = NULL, details = details - 'subject'"},
      {"pg_catalog.host(source_ip)", "source_ip IS NOT NULL AND actor IS NULL",
       "source_ip = NULL"}};
  for (const Personal& personal : kPersonal) {
    const std::string mine = fmt::format(
        "log = $1 AND (organization = $2 OR acting_organization = $2) AND sequence < $3 AND {}",
        personal.where);
    const auto values = TRY(connection_.query(
        fmt::format("SELECT {}, max(sequence) FROM domicile_index.event WHERE {} GROUP BY 1",
                    personal.value, mine),
        {number(log_), organization, number(before)}));
    for (int i = 0; i < values.size(); ++i) {
      const auto sequence = static_cast<std::uint64_t>(values.integer(i, 1));
      const std::string value(values.text(i, 0));
      const auto entry = feed(sequence, 1);
      const bool there = entry && !entry->empty() && entry->front().sequence == sequence;
      if (there && opener(entry->front()).find('"' + value + '"') != std::string::npos) continue;
      TRY(connection_.query(fmt::format("UPDATE domicile_index.event SET {} WHERE {} AND {} = $4",
                                        personal.forget, mine, personal.value),
                            {number(log_), organization, number(before), value}));
    }
  }
  return {};
}

Result<void> IndexStore::reset(std::uint64_t from) {
  return connection_.transaction([&]() -> Result<void> {
    TRY(connection_.query("SELECT FROM domicile_index.log WHERE id = $1 FOR UPDATE",
                          {number(log_)}));
    const auto others = TRY(connection_.query(
        "SELECT count(*) FROM domicile_index.log WHERE id <> $1 AND next_sequence > 1",
        {number(log_)}));
    if (others.integer(0, 0) == 0) {
      TRY(connection_.script("TRUNCATE domicile_index.event"));
    } else {
      TRY(connection_.query("DELETE FROM domicile_index.event WHERE log = $1", {number(log_)}));
    }
    TRY(
        connection_.query("UPDATE domicile_index.log SET first_sequence = $2, next_sequence = $2, "
                          "loaded_at = NULL WHERE id = $1",
                          {number(log_), number(from)}));
    return {};
  });
}

Result<std::size_t> IndexStore::drop_before(sys_days day) {
  made_.clear();
  const auto rows = TRY(connection_.query("SELECT domicile_index.drop_before($1::pg_catalog.date)",
                                          {fmt::format("{:%Y-%m-%d}", day)}));
  return static_cast<std::size_t>(rows.integer(0, 0));
}

Result<IndexStatus> IndexStore::status() {
  IndexStatus status{.origin = origin_, .log = log_};
  TRY(connection_.transaction(
      [&]() -> Result<void> {
        const auto log = TRY(connection_.query(
            "SELECT first_sequence, next_sequence, coalesce(loaded_at::text, '') FROM "
            "domicile_index.log WHERE id = $1",
            {number(log_)}));
        status.first_sequence = static_cast<std::uint64_t>(log.integer(0, 0));
        status.next_sequence = static_cast<std::uint64_t>(log.integer(0, 1));
        status.loaded_at = log.text(0, 2);
        // Sequence s lies in bundle (s - 1) / 256 of the log.
        const auto bundles = TRY(connection_.query(
            "WITH b AS (SELECT (sequence - 1) / 256 AS n, count(*) AS rows, count(DISTINCT "
            "sequence) AS distinct_rows "
            "FROM domicile_index.event WHERE log = $1 AND sequence >= $2 GROUP BY 1), w AS (SELECT "
            "n, greatest(n * 256 + 1, $2) AS first, "
            "least(n * 256 + 256, $3::bigint - 1) AS last FROM "
            "pg_catalog.generate_series(($2::bigint - 1) / 256, "
            "($3::bigint - 2) / 256) AS n WHERE $3::bigint > $2::bigint) SELECT w.first, w.last, "
            "coalesce(b.rows, 0), "
            "coalesce(sum(b.rows) OVER (), 0), count(b.n) OVER (), w.last - w.first + 1 = "
            "coalesce(b.rows, 0) AND "
            "coalesce(b.rows, 0) = coalesce(b.distinct_rows, 0) FROM w LEFT JOIN b USING (n) ORDER "
            "BY 6, 1 LIMIT 11",
            {number(log_), number(status.first_sequence), number(status.next_sequence)}));
        for (int i = 0; i < bundles.size(); ++i) {
          status.rows = static_cast<std::uint64_t>(bundles.integer(i, 3));
          status.bundles = static_cast<std::uint64_t>(bundles.integer(i, 4));
          if (bundles.boolean(i, 5) || status.incomplete.size() >= kToldBundles) continue;
          status.incomplete.push_back(fmt::format("{} to {}: {} rows", bundles.text(i, 0),
                                                  bundles.text(i, 1), bundles.text(i, 2)));
        }
        return {};
      },
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  return status;
}

}  // namespace domicile::logindex
