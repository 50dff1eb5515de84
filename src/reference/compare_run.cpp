#include "reference/compare_run.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "crypto/random.h"

namespace domicile::reference {
namespace {

using Steady = std::chrono::steady_clock;

// A transaction keeps its locks until after it is visible, so whoever holds none of these is either seen
// or has not committed. The mode is what INSERT, UPDATE, DELETE and everything stronger take.
constexpr const char* kWriters = R"SQL(
  SELECT DISTINCT l.virtualtransaction, coalesce(l.pid, 0) FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::oid[])
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    AND ($2::text[] IS NULL OR l.virtualtransaction = ANY ($2::text[])))SQL";

std::string parts_of(std::span<const ComparedTable> tables) {
  std::string out = "{";
  for (const ComparedTable& table : tables)
    for (const std::uint32_t part : table.parts)
      out += fmt::format("{}{}", out.size() > 1 ? "," : "", part);
  return out + "}";
}

std::uint64_t parse_lsn(std::string_view text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

Result<void> wait_for_writers(pg::Connection& connection, std::span<const ComparedTable> tables,
                              std::chrono::milliseconds at_most, const std::stop_token& stop) {
  const std::string parts = parts_of(tables);
  const auto deadline = Steady::now() + at_most;
  std::mutex mutex;
  std::condition_variable_any nobody;
  for (pg::Param known;;) {  // only those of the first look count
    const auto rows = TRY(connection.query(kWriters, {parts, known}));
    if (rows.size() == 0) return {};
    if (Steady::now() >= deadline || stop.stop_requested())
      return fail(
          Code::conflict,
          fmt::format("process {} has been writing to reference tables in the master region for "
                      "{} ms; compare again when its transaction has ended",
                      rows.text(0, 1), at_most.count()),
          "compare_busy");
    std::vector<std::string> writers;
    for (int i = 0; i < rows.size(); ++i) writers.emplace_back(rows.text(i, 0));
    known = pg::array_literal(writers);
    // PostgreSQL has no event for "that transaction ended" that takes no lock itself.
    std::unique_lock lock(mutex);
    nobody.wait_for(lock, stop, std::chrono::milliseconds(3), [] { return false; });
  }
}

CompareRun::CompareRun(const CompareRunOptions& options, pg::Connection connection)
    : options_(options), connection_(std::move(connection)), asked_at_(Steady::now()) {}

CompareRun::~CompareRun() = default;  // the thread is asked to stop, and joined

Result<std::unique_ptr<CompareRun>> CompareRun::open(const CompareRunOptions& options,
                                                     const CompareOpen& request,
                                                     const std::stop_token& stop) {
  std::unique_ptr<CompareRun> run(new CompareRun(options, TRY(pg::Connection::open(options.dsn))));
  run->region_ = request.region;
  pg::Connection& connection = run->connection_;
  TRY(set_canonical(connection));
  auto tables = TRY(read_compared_tables(connection));
  std::erase_if(tables, [&](const ComparedTable& table) {
    return !request.tables.empty() &&
           std::ranges::find(request.tables, table.label()) == request.tables.end();
  });
  TRY(wait_for_writers(connection, tables, options.writers_ms, stop));
  TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  const auto lsn = TRY(
      connection.query("SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text"));
  run->opened_ = {.run = crypto::random_text(16),
                  .key = crypto::random_secret(digest::KeyedHash::kKeyBytes),
                  .lsn = parse_lsn(lsn.text(0, 0)),
                  .tables = std::move(tables)};
  // A heartbeat past the snapshot: who waits for the stream to come this far does not wait for the next one.
  auto beating = TRY(pg::Connection::open(options.dsn));
  TRY(beating.query("SELECT domicile.beat_reference()"));
  run->hash_ = TRY(digest::KeyedHash::create(run->opened_.key));
  run->thread_ = std::jthread([self = run.get(), rate = request.rows_per_second](
                                  const std::stop_token& over) { self->scan_all(over, rate); });
  return run;
}

void CompareRun::scan_all(const std::stop_token& stop, double rows_per_second) {
  const auto begun = Steady::now();
  const auto note = [&](std::uint64_t rows, bool done) {
    const std::lock_guard lock(mutex_);
    progress_.rows = rows_before_ + rows;
    progress_.seconds = std::chrono::duration<double>(Steady::now() - begun).count();
    progress_.done = done;
    changed_.notify_all();
  };
  ScanLimits limits{.folder = options_.folder,
                    .rows_per_second = rows_per_second,
                    .stop = stop,
                    .progress = [&](std::uint64_t rows) { note(rows, false); }};
  for (const ComparedTable& table : opened_.tables) {
    auto scan = table.key_columns == 0 ? TableScan::run(connection_, table, *hash_, "false", limits)
                                       : TableScan::run(connection_, table, *hash_, "", limits);
    const std::lock_guard lock(mutex_);
    if (!scan) {
      error_ = std::move(scan).error().within("comparing " + table.label());
      break;
    }
    rows_before_ += scan->rows();
    scans_.push_back(std::move(*scan));
    progress_.tables = scans_.size();
  }
  note(0, true);
}

std::chrono::steady_clock::time_point CompareRun::asked_at() const {
  const std::lock_guard lock(mutex_);
  return asked_at_;
}

Result<ScanProgress> CompareRun::progress(std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_);
  asked_at_ = Steady::now();
  changed_.wait_for(lock, at_most, [&] { return progress_.done; });
  if (error_) return std::unexpected(*error_);
  return progress_;
}

Result<std::unique_lock<std::mutex>> CompareRun::scanned(std::size_t table) {
  std::unique_lock lock(mutex_);
  asked_at_ = Steady::now();
  if (error_) return std::unexpected(*error_);
  if (!progress_.done)
    return fail(Code::conflict, "the tables are still being read", "compare_scanning");
  if (table >= scans_.size())
    return fail(Code::invalid, "the comparison has no table of this number", "compare_table");
  return lock;
}

Result<std::uint64_t> CompareRun::rows_of(std::size_t table) {
  const auto lock = TRY(scanned(table));
  return scans_[table].rows();
}

Result<std::vector<digest::Symbol>> CompareRun::symbols(std::size_t table, std::uint64_t first,
                                                        std::size_t count) {
  const auto lock = TRY(scanned(table));
  return scans_[table].symbols(first, count);
}

Result<Digests> CompareRun::keys(std::size_t table, const Digests& rows) {
  const auto lock = TRY(scanned(table));
  const Places places = TRY(scans_[table].places(rows));
  std::vector<digest::Locator> list;
  for (const auto& [hash, where] : places) list.push_back(where);
  std::unordered_map<digest::Hash128, digest::Hash128, digest::Hash128Hasher> keys;
  TRY(read_places(connection_, opened_.tables[table], *hash_, list, false,
                  [&](PlacedRow row) { keys[row.hash] = row.key; }));
  Digests out;
  for (const digest::Hash128& row : rows) {
    const auto found = keys.find(row);
    if (found == keys.end()) return fail(Code::internal, "a row left its own snapshot");
    out.push_back(found->second);
  }
  return out;
}

Result<std::vector<MasterRow>> CompareRun::current(std::size_t table, const Digests& rows,
                                                   bool values) {
  const auto lock = TRY(scanned(table));
  const Places places = TRY(scans_[table].places(rows));
  std::vector<digest::Locator> list;
  for (const auto& [hash, where] : places) list.push_back(where);
  // The snapshot keeps every version in its place, so a version that is still visible there is unchanged.
  auto now = std::move(now_);  // given back when all went well
  if (now == nullptr) {
    now = std::make_unique<pg::Connection>(TRY(pg::Connection::open(options_.dsn)));
    TRY(set_canonical(*now));
  }
  TRY(wait_for_writers(*now, std::span(&opened_.tables[table], 1), options_.doubt_ms));
  std::vector<MasterRow> out;
  TRY(read_places(*now, opened_.tables[table], *hash_, list, values, [&](PlacedRow row) {
    if (places.contains(row.hash)) out.push_back({row.hash, std::move(row.values)});
  }));
  now_ = std::move(now);
  return out;
}

}  // namespace domicile::reference
