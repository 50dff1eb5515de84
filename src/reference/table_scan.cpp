#include "reference/table_scan.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_set>

#include <fmt/format.h>

#include "digest/copy_rows.h"

namespace domicile::reference {
namespace {

using digest::CopyRow;
using digest::Hash128;
using digest::Locator;

// Before the columns stand ctid and, where there are several parts, tableoid.
std::size_t place_fields(const ComparedTable& table) { return table.parts.size() > 1 ? 2 : 1; }

std::string select(const ComparedTable& table, const std::string& only, bool values) {
  std::string sql = "COPY (SELECT ctid";
  if (place_fields(table) > 1) sql += ", tableoid";
  for (const ComparedColumn& column : table.columns) sql += ", " + column.expression;
  if (values)
    for (const ComparedColumn& column : table.columns)
      sql += ", " + pg::quote_identifier(column.name) + "::pg_catalog.text";
  sql += " FROM " + table.quoted();
  if (!table.filter.empty()) sql += " WHERE (" + table.filter + ")";
  if (!only.empty()) sql += (table.filter.empty() ? " WHERE " : " AND ") + only;
  return sql + ") TO STDOUT (FORMAT binary)";
}

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<std::uint8_t>(c);
  return out;
}

Result<Locator> locator_of(const ComparedTable& table, const CopyRow& row) {
  const std::size_t fields = place_fields(table);
  if (row.size() < fields + table.columns.size() || row.value(0).size() != 6 ||
      (fields > 1 && row.value(1).size() != 4))
    return fail(Code::internal, "COPY gave other fields than were asked for", "copy_format");
  Locator where{.part = 0,
                .offset = static_cast<std::uint16_t>(big_endian(row.value(0).substr(4))),
                .block = big_endian(row.value(0).substr(0, 4))};
  if (fields == 1) return where;
  const auto part = std::ranges::lower_bound(table.parts, big_endian(row.value(1)));
  if (part == table.parts.end() || *part != big_endian(row.value(1)))
    return fail(Code::conflict,
                fmt::format("table {} got a new partition during the comparison; run it again",
                            table.label()),
                "schema_changed");
  where.part = static_cast<std::uint16_t>(part - table.parts.begin());
  return where;
}

// Waits as long as the rows so far have been too many for the time so far.
class Throttle {
 public:
  explicit Throttle(const ScanLimits& limits) : limits_(limits) {}
  void pass(std::uint64_t rows) {
    if (limits_.rows_per_second <= 0 || rows % 64 != 0) return;
    const auto due =
        begun_ +
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
            std::chrono::duration<double>(static_cast<double>(rows) / limits_.rows_per_second));
    std::unique_lock lock(mutex_);
    nobody_.wait_until(lock, limits_.stop, due, [] { return false; });
  }
  // A few times a second: time to tell how far it is.
  bool tells() {
    const auto now = std::chrono::steady_clock::now();
    if (now - told_ < std::chrono::milliseconds(200)) return false;
    told_ = now;
    return true;
  }

 private:
  const ScanLimits& limits_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point told_ = begun_;
  std::mutex mutex_;
  std::condition_variable_any nobody_;
};

// COPY's rows one by one; the first error of `row` ends it.
Result<void> copy_rows(pg::Connection& connection, const std::string& sql,
                       const std::function<Result<void>(const CopyRow&)>& row) {
  digest::CopyRows rows;
  Result<void> outcome;
  const auto copied = connection.copy_out(sql, [&](std::string_view message) {
    const auto next = rows.next(message);
    if (!next)
      outcome = std::unexpected(next.error());
    else if (*next != nullptr)
      outcome = row(**next);
    return outcome.has_value();
  });
  if (!outcome) return outcome;
  if (copied && !rows.ended())
    return fail(Code::unavailable, "the server's COPY ended in the middle", "copy_format");
  return copied;
}

}  // namespace

Result<TableScan> TableScan::run(pg::Connection& connection, const ComparedTable& table,
                                 const digest::KeyedHash& hash, const std::string& only,
                                 const ScanLimits& limits) {
  TableScan scan(TRY(digest::Spill::create(limits.folder)));
  Throttle throttle(limits);
  const std::size_t fields = place_fields(table);
  TRY(copy_rows(connection, select(table, only, false), [&](const CopyRow& row) -> Result<void> {
    const Locator where = TRY(locator_of(table, row));
    const Hash128 sum = hash(row.bytes(fields, row.size()));
    scan.first_.add(sum);
    TRY(scan.spill_.add({sum, where}));
    const std::uint64_t rows = scan.rows();
    throttle.pass(rows);
    if (rows % 64 == 0 && limits.progress && throttle.tells()) limits.progress(rows);
    if (limits.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
    return {};
  }));
  if (limits.progress) limits.progress(scan.rows());
  return scan;
}

Result<std::vector<digest::Symbol>> TableScan::symbols(std::uint64_t first, std::size_t count) {
  if (first == 0 && count == 1) return std::vector{first_};
  if (first + count <= kSketched) {
    if (!sketch_) {
      digest::Sketch sketch(0, kSketched);
      TRY(spill_.each([&](const digest::SpilledRow& row) { sketch.add(row.hash); }));
      sketch_ = std::move(sketch);
    }
    const auto part = sketch_->symbols().subspan(first, count);
    return std::vector<digest::Symbol>(part.begin(), part.end());
  }
  digest::Sketch more(first, count);
  TRY(spill_.each([&](const digest::SpilledRow& row) { more.add(row.hash); }));
  return std::vector<digest::Symbol>(more.symbols().begin(), more.symbols().end());
}

Result<Places> TableScan::places(const Digests& hashes) {
  std::unordered_set<Hash128, digest::Hash128Hasher> wanted;
  for (const Hash128& hash : hashes)
    if (!known_.contains(hash)) wanted.insert(hash);
  if (!wanted.empty()) {
    TRY(spill_.each([&](const digest::SpilledRow& row) {
      if (wanted.contains(row.hash)) known_.emplace(row.hash, row.where);
    }));
  }
  Places found;
  for (const Hash128& hash : hashes) {
    const auto place = known_.find(hash);
    if (place == known_.end())
      return fail(Code::invalid,
                  "no row has this hash: the two sides do not speak of the same table",
                  "compare_unknown_row");
    found.insert(*place);
  }
  return found;
}

Result<void> read_where(pg::Connection& connection, const ComparedTable& table,
                        const digest::KeyedHash& hash, const std::string& condition, bool values,
                        const std::function<void(PlacedRow)>& row) {
  const std::size_t fields = place_fields(table);
  const std::size_t columns = table.columns.size();
  return copy_rows(
      connection, select(table, condition, values), [&](const CopyRow& copied) -> Result<void> {
        PlacedRow placed{.where = TRY(locator_of(table, copied)),
                         .hash = hash(copied.bytes(fields, fields + columns)),
                         .key = hash(copied.bytes(fields, fields + table.key_columns)),
                         .values = {}};
        for (std::size_t i = fields + columns; i < copied.size(); ++i)
          placed.values.push_back(copied.null(i) ? pg::Param()
                                                 : pg::Param(std::string(copied.value(i))));
        row(std::move(placed));
        return {};
      });
}

Result<void> read_places(pg::Connection& connection, const ComparedTable& table,
                         const digest::KeyedHash& hash, std::span<const Locator> places,
                         bool values, const std::function<void(PlacedRow)>& row) {
  std::map<std::uint16_t, std::string> lists;
  for (const Locator& place : places) {
    std::string& list = lists[place.part];
    list += fmt::format("{}\"({},{})\"", list.empty() ? "" : ",", place.block, place.offset);
  }
  for (const auto& [part, list] : lists) {
    if (part >= table.parts.size()) return fail(Code::internal, "a place in no partition");
    TRY(read_where(connection, table, hash,
                   fmt::format("tableoid = {} AND ctid = ANY ('{{{}}}'::pg_catalog.tid[])",
                               table.parts[part], list),
                   values, row));
  }
  return {};
}

}  // namespace domicile::reference
