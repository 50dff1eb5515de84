#include "reference/comparison.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <future>
#include <mutex>
#include <unordered_set>

#include <fmt/format.h>

#include "base/encoding.h"
#include "digest/difference.h"

namespace domicile::reference {
namespace {

using digest::Hash128;
using digest::Hash128Hasher;
using HashSet = std::unordered_set<Hash128, Hash128Hasher>;
using Steady = std::chrono::steady_clock;

constexpr std::size_t kKeysShown = 20;

void failed(TableOutcome& outcome, const Error& error) {
  outcome.outcome = "failed";
  outcome.reason = error.message;
}

// A question in pieces that the master answers.
template <typename Answer>
Result<Answer> in_pieces(const Digests& all, std::size_t most,
                         const std::function<Result<Answer>(const Digests&)>& ask) {
  Answer out;
  for (std::size_t at = 0; at < all.size(); at += most) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), at + most));
    for (auto& item : TRY(ask(Digests(begin, end)))) out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

Comparison::Comparison(CompareMaster& master, ComparisonOptions options, pg::Connection connection)
    : master_(master), options_(std::move(options)), connection_(std::move(connection)) {}

Comparison::~Comparison() {
  if (!opened_.run.empty()) (void)master_.close(opened_.run);  // else it ends by itself
}

Result<std::unique_ptr<Comparison>> Comparison::begin(CompareMaster& master,
                                                      ComparisonOptions options) {
  auto connection = TRY(pg::Connection::open(options.dsn));
  std::unique_ptr<Comparison> made(
      new Comparison(master, std::move(options), std::move(connection)));
  TRY(set_canonical(made->connection_));
  TRY(made->connection_.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  const auto xmin = TRY(made->connection_.query(
      "SELECT (pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::numeric % "
      "4294967296)::text"));
  made->snapshot_xmin_ = xmin.text(0, 0);
  made->tables_ = TRY(read_compared_tables(made->connection_));
  sort_by_parents(made->tables_);
  made->opened_ = TRY(master.open({.region = made->options_.region,
                                   .tables = made->options_.tables,
                                   .rows_per_second = made->options_.rows_per_second}));
  made->hash_ = TRY(digest::KeyedHash::create(made->opened_.key));
  TRY(made->match_tables());
  return made;
}

Result<void> Comparison::match_tables() {
  const auto wanted = [&](const ComparedTable& table) {
    return options_.tables.empty() ||
           std::ranges::find(options_.tables, table.label()) != options_.tables.end();
  };
  std::erase_if(tables_, [&](const ComparedTable& table) { return !wanted(table); });
  for (const std::string& name : options_.tables) {
    const auto is = [&](const ComparedTable& table) { return table.label() == name; };
    if (std::ranges::none_of(tables_, is) && std::ranges::none_of(opened_.tables, is))
      return fail(
          Code::invalid,
          fmt::format("{} is no reference table that is enforced; domicile catalog report lists "
                      "the classes",
                      name),
          "unknown_table");
  }
  // Here the filter has no say: a row that must not travel is extra wherever it is.
  for (ComparedTable& table : tables_) table.filter.clear();
  for (ComparedTable& table : tables_) {
    TableOutcome& outcome = outcomes_.emplace_back(TableOutcome{.table = table.label()});
    const auto theirs = std::ranges::find_if(
        opened_.tables, [&](const ComparedTable& other) { return other.label() == table.label(); });
    // Columns that do not travel are this region's own affair, as for the stream.
    if (theirs != opened_.tables.end()) table.keep_columns_of(*theirs);
    std::string wrong;
    if (theirs == opened_.tables.end())
      wrong = "it is no enforced reference table in the master region";
    else if (table.key_columns == 0)
      wrong = "it has no primary key, by which rows could be told";
    else if (wrong = table.difference_from(*theirs); !wrong.empty())
      wrong = "its shape differs from the master region's: " + wrong;
    at_master_.push_back(
        wrong.empty() ? std::optional(static_cast<std::size_t>(theirs - opened_.tables.begin()))
                      : std::nullopt);
    if (!wrong.empty())
      failed(outcome, Error{.code = Code::invalid, .message = wrong, .reason = {}});
  }
  for (const ComparedTable& theirs : opened_.tables) {
    const auto is = [&](const ComparedTable& table) { return table.label() == theirs.label(); };
    if (std::ranges::any_of(tables_, is)) continue;
    tables_.push_back(theirs);
    outcomes_.push_back({.table = theirs.label()});
    at_master_.push_back(std::nullopt);
    failed(outcomes_.back(), Error{.code = Code::invalid,
                                   .message = "it is no enforced reference table in this region",
                                   .reason = {}});
  }
  return {};
}

Result<void> Comparison::scan() {
  std::uint64_t estimated = 0;
  for (const ComparedTable& table : tables_)
    estimated += static_cast<std::uint64_t>(table.rows_estimated);
  std::uint64_t before = 0;
  auto asked = Steady::now();
  Result<void> master_lives;
  std::stop_source stop;
  const std::stop_callback forward(options_.stop, [&] { stop.request_stop(); });
  const ScanLimits limits{.folder = options_.folder,
                          .rows_per_second = options_.rows_per_second,
                          .stop = stop.get_token(),
                          .progress = [&](std::uint64_t rows) {
                            if (options_.progress) options_.progress(before + rows, estimated);
                            if (Steady::now() - asked < std::chrono::seconds(10)) return;
                            asked = Steady::now();
                            if (auto lives = master_.progress(opened_.run, {}); !lives) {
                              master_lives = std::unexpected(std::move(lives).error());
                              stop.request_stop();
                            }
                          }};
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    scans_.emplace_back();
    if (!at_master_[i]) continue;
    const auto begun = Steady::now();
    auto scan = TableScan::run(connection_, tables_[i], *hash_, "", limits);
    if (!master_lives) return master_lives;
    if (!scan)
      return std::unexpected(std::move(scan).error().within("comparing " + tables_[i].label()));
    before += scan->rows();
    outcomes_[i].replica_rows = scan->rows();
    outcomes_[i].seconds = std::chrono::duration<double>(Steady::now() - begun).count();
    scans_.back() = std::move(*scan);
  }
  for (bool done = false; !done;) {
    if (options_.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
    done = TRY(master_.progress(opened_.run, std::chrono::milliseconds(1000))).done;
    if (options_.progress) options_.progress(before, estimated);
  }
  return {};
}

std::vector<DifferingRow> Comparison::compare(std::size_t index) {
  TableOutcome& outcome = outcomes_[index];
  if (!at_master_[index]) return {};
  const auto begun = Steady::now();
  const std::uint64_t bytes = master_.bytes();
  const auto rows = [&]() -> Result<std::vector<DifferingRow>> {
    outcome.master_rows = TRY(master_.rows_of(opened_.run, *at_master_[index]));
    Digests master;
    Digests here;
    TRY(find(index, master, here));
    auto rows = TRY(pair(index, master, here));
    const std::size_t found = rows.size();
    if (found == 0) return rows;
    rows = TRY(confirm(index, std::move(rows)));
    outcome.in_passing = found - rows.size();
    return rows;
  }();
  outcome.seconds += std::chrono::duration<double>(Steady::now() - begun).count();
  outcome.bytes = master_.bytes() - bytes;
  if (!rows) {
    failed(outcome, rows.error());
    return {};
  }
  count(index, *rows);
  return *rows;
}

// Asks for symbols, ever more of them, until they tell the whole difference.
Result<void> Comparison::find(std::size_t index, Digests& master, Digests& here) {
  digest::Difference difference;
  for (std::size_t size = 1; !difference.complete();
       size = std::clamp<std::size_t>(difference.symbols() / 2, 128, CompareMaster::kSymbolsMax)) {
    const std::uint64_t first = difference.symbols();
    if (first >= kSymbolsMax)
      return fail(
          Code::conflict,
          fmt::format("more than {} rows differ; domicile reference resync copies the table anew",
                      kSymbolsMax * 7 / 10),
          "too_many_differences");
    if (first < TableScan::kSketched) size = std::min(size, TableScan::kSketched - first);
    // Both sides go over their spills at the same time.
    auto making =
        std::async(std::launch::async, [&] { return scans_[index]->symbols(first, size); });
    auto asked = master_.symbols(opened_.run, *at_master_[index], first, size);
    const auto ours = TRY(making.get());
    const auto theirs = TRY(std::move(asked));
    TRY(difference.extend(theirs, ours));
    if (options_.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
  }
  master = difference.only_left();
  here = difference.only_right();
  return {};
}

// Which of them are versions of one row, by their keys' hashes.
Result<std::vector<DifferingRow>> Comparison::pair(std::size_t index, const Digests& master,
                                                   const Digests& here) {
  std::unordered_map<Hash128, DifferingRow, Hash128Hasher> rows;
  const Digests keys =
      TRY(in_pieces<Digests>(master, CompareMaster::kDigestsMax, [&](const Digests& part) {
        return master_.keys(opened_.run, *at_master_[index], part);
      }));
  if (keys.size() != master.size())
    return fail(Code::invalid, "the master gave other keys than were asked for");
  for (std::size_t i = 0; i < keys.size(); ++i)
    rows[keys[i]] = {.key = keys[i], .master = master[i], .here = {}};
  const Places places = TRY(scans_[index]->places(here));
  std::vector<digest::Locator> list;
  for (const auto& [hash, where] : places) list.push_back(where);
  TRY(read_places(connection_, tables_[index], *hash_, list, false, [&](PlacedRow row) {
    DifferingRow& differing = rows[row.key];
    differing.key = row.key;
    differing.here = digest::SpilledRow{row.hash, row.where};
  }));
  std::vector<DifferingRow> out;
  for (auto& [key, row] : rows) out.push_back(row);
  std::ranges::sort(out, {}, &DifferingRow::key);
  return out;
}

// A snapshot of this region that holds at least what the master's did.
Result<pg::Connection> Comparison::snapshot_past_master() {
  auto connection = TRY(pg::Connection::open(options_.dsn));
  TRY(set_canonical(connection));
  std::mutex mutex;
  std::condition_variable_any nobody;
  for (const auto deadline = Steady::now() + options_.stream_ms;;) {
    TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    const auto rows = TRY(connection.query(
        "SELECT coalesce(max(position - '0/0'::pg_lsn), 0)::text FROM domicile.reference_source"));
    std::uint64_t position = 0;
    const auto text = rows.text(0, 0);
    std::from_chars(text.data(), text.data() + text.size(), position);
    if (position >= opened_.lsn) return connection;
    TRY(connection.script("ROLLBACK"));
    if (Steady::now() >= deadline)
      return fail(
          Code::unavailable,
          "rows differ, but the stream has not come as far as the master's snapshot, so they may "
          "be under way; see domicile reference status, and compare again when the stream runs",
          "stream_behind");
    if (options_.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
    (void)master_.progress(opened_.run, {});  // that we are still here
    std::unique_lock lock(mutex);
    nobody.wait_for(lock, options_.stop, std::chrono::milliseconds(100), [] { return false; });
  }
}

Result<std::vector<DifferingRow>> Comparison::confirm(std::size_t index,
                                                      std::vector<DifferingRow> rows) {
  pg::Connection later = TRY(snapshot_past_master());
  // What stands here now for these keys: untouched rows in their places, and whatever is newer.
  HashSet untouched;
  std::vector<digest::Locator> places;
  HashSet keys;
  for (const DifferingRow& row : rows) {
    if (row.here) places.push_back(row.here->where);
    keys.insert(row.key);
  }
  TRY(read_places(later, tables_[index], *hash_, places, false, [&](PlacedRow row) {
    if (keys.contains(row.key)) untouched.insert(row.key);
  }));
  std::unordered_map<Hash128, digest::SpilledRow, Hash128Hasher> newer;
  TRY(read_where(
      later, tables_[index], *hash_,
      fmt::format("pg_catalog.age(xmin) <= pg_catalog.age('{}'::pg_catalog.xid)", snapshot_xmin_),
      false, [&](PlacedRow row) {
        if (keys.contains(row.key)) newer[row.key] = {row.hash, row.where};
      }));
  Digests masters;
  for (const DifferingRow& row : rows)
    if (row.master) masters.push_back(*row.master);
  const Digests current =
      TRY(in_pieces<Digests>(masters, CompareMaster::kDigestsMax, [&](const Digests& part) {
        return master_.current(opened_.run, *at_master_[index], part);
      }));
  const HashSet still(current.begin(), current.end());
  std::erase_if(rows, [&](DifferingRow& row) {
    const auto changed = newer.find(row.key);
    const bool touched =
        row.here && (!untouched.contains(row.key) ||
                     (changed != newer.end() && changed->second.where != row.here->where));
    if (!row.master) return touched || !row.here;
    if (!still.contains(*row.master)) return true;
    if (touched) row.here.reset();
    if (changed != newer.end()) row.here = changed->second;
    return row.here && row.here->hash == *row.master;
  });
  return rows;
}

void Comparison::count(std::size_t index, const std::vector<DifferingRow>& rows) {
  TableOutcome& outcome = outcomes_[index];
  for (const DifferingRow& row : rows) {
    if (!row.here)
      ++outcome.missing;
    else if (!row.master)
      ++outcome.extra;
    else
      ++outcome.changed;
    if (outcome.keys.size() >= kKeysShown) continue;
    std::string bytes;
    row.key.append_to(bytes);
    outcome.keys.push_back(to_hex(bytes));
  }
  if (!rows.empty()) outcome.outcome = "different";
}

Result<std::vector<MasterRow>> Comparison::master_rows(std::size_t index, const Digests& rows) {
  if (!at_master_[index]) return fail(Code::internal, "a table that was not compared");
  const std::uint64_t bytes = master_.bytes();
  auto out = in_pieces<std::vector<MasterRow>>(
      rows, CompareMaster::kRowsMax,
      [&](const Digests& part) { return master_.rows(opened_.run, *at_master_[index], part); });
  outcomes_[index].bytes += master_.bytes() - bytes;
  return out;
}

}  // namespace domicile::reference
