#include "reference/repair.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/encoding.h"
#include "base/log.h"
#include "reference/repair_sql.h"

namespace domicile::reference {
namespace {

using Rows = std::vector<DifferingRow>;

constexpr int kTries = 5;

// A batch of one table: all upserts, or all deletes.
struct Batch {
  std::size_t table = 0;
  bool removes = false;
  Rows rows;
};

class Repair {
 public:
  Repair(Comparison& comparison, domain::EventSink& sink, const Clock& clock,
         const RepairOptions& options, pg::Connection connection)
      : comparison_(comparison),
        sink_(sink),
        clock_(clock),
        options_(options),
        connection_(std::move(connection)) {}

  Result<void> run(const std::vector<Rows>& rows) {
    for (const Rows& of_table : rows) all_ += of_table.size();
    TRY(set_canonical(connection_));
    std::vector<Batch> batches = plan(rows);
    // Alone, rows that wait for each other are told from those that cannot be stored at all.
    for (bool progress = true; !batches.empty() && progress;) {
      const std::uint64_t before = done_;
      std::vector<Batch> refused;
      for (Batch& batch : batches) TRY(settle(std::move(batch), refused));
      progress = done_ > before;
      batches = std::move(refused);
    }
    for (const Batch& batch : batches) {
      TableOutcome& outcome = comparison_.outcome(batch.table);
      outcome.blocked += batch.rows.size();
      outcome.reason = refusals_[batch.table];
    }
    for (std::size_t i = 0; i < rows.size(); ++i) conclude(comparison_.outcome(i));
    return {};
  }

 private:
  std::vector<Batch> plan(const std::vector<Rows>& rows) const {
    std::vector<Batch> batches;
    const auto add = [&](std::size_t table, bool removes) {
      Batch batch{.table = table, .removes = removes, .rows = {}};
      for (const DifferingRow& row : rows[table]) {
        if (row.master.has_value() == removes) continue;
        batch.rows.push_back(row);
        if (batch.rows.size() < options_.rows_max) continue;
        batches.push_back(batch);
        batch.rows.clear();
      }
      if (!batch.rows.empty()) batches.push_back(std::move(batch));
    };
    for (std::size_t i = 0; i < rows.size(); ++i) add(i, false);
    for (std::size_t i = rows.size(); i-- > 0;) add(i, true);
    return batches;
  }

  // The batch whole, or row by row when it is refused; what is refused alone is kept for later.
  Result<void> settle(Batch batch, std::vector<Batch>& refused) {
    if (options_.stop.stop_requested()) return fail(Code::timeout, "cancelled", "cancelled");
    auto done = write(batch);
    // The applier may hold a row while it waits for the position that is locked here: one of the two goes on.
    for (int again = 0; !done && done.error().code == Code::conflict &&
                        done.error().reason.starts_with("40") && again < kTries;
         ++again)
      done = write(batch);
    if (done) {
      done_ += batch.rows.size();
      if (options_.progress) options_.progress(done_, all_);
      return {};
    }
    const std::string& state = done.error().reason;
    if (!state.starts_with("23") && !state.starts_with("P0") && !state.starts_with("22"))
      return std::unexpected(std::move(done).error().within("repairing " + name_of(batch)));
    if (batch.rows.size() == 1) {
      refusals_[batch.table] = done.error().message;
      refused.push_back(std::move(batch));
      return {};
    }
    const std::size_t half = batch.rows.size() / 2;
    const auto middle = batch.rows.begin() + static_cast<std::ptrdiff_t>(half);
    TRY(settle({batch.table, batch.removes, Rows(batch.rows.begin(), middle)}, refused));
    return settle({batch.table, batch.removes, Rows(middle, batch.rows.end())}, refused);
  }

  const std::string& name_of(const Batch& batch) { return comparison_.outcome(batch.table).table; }

  Result<void> write(const Batch& batch) {
    std::int64_t changed = 0;
    const auto body = [&]() -> Result<void> {
      TRY(connection_.query("SET LOCAL lock_timeout = '10s'"));
      // The applier stores its position in the transaction that applies: until the end nothing is applied.
      TRY(connection_.query("SELECT FROM domicile.reference_source FOR UPDATE"));
      TRY(check_class(batch));
      changed = batch.removes ? TRY(remove(batch)) : TRY(store(batch));
      if (changed == 0) return {};
      (void)TRY(sink_.record(event(batch, changed)));
      return {};
    };
    TRY(connection_.transaction(body));
    comparison_.outcome(batch.table).repaired += static_cast<std::uint64_t>(changed);
    return {};
  }

  // The class stays what it is until the transaction ends.
  Result<void> check_class(const Batch& batch) {
    const ComparedTable& table = comparison_.table(batch.table);
    TRY(connection_.query("SELECT domicile.require_reference(ARRAY[$1], ARRAY[$2])",
                          {table.schema, table.name}));
    return {};
  }

  Result<std::int64_t> store(const Batch& batch) {
    Digests wanted;
    for (const DifferingRow& row : batch.rows) wanted.push_back(*row.master);
    const auto rows = TRY(comparison_.master_rows(batch.table, wanted));
    if (rows.empty()) return 0;
    const ComparedTable& table = comparison_.table(batch.table);
    std::vector<pg::Param> columns;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      std::vector<pg::Param> values;
      for (const MasterRow& row : rows) {
        if (row.values.size() != table.columns.size())
          return fail(Code::invalid, "the master gave a row of other columns", "compare_rows");
        values.push_back(row.values[i]);
      }
      columns.emplace_back(nullable_array(values));
    }
    return TRY(connection_.query(upsert_sql(table), columns)).affected();
  }

  Result<std::int64_t> remove(const Batch& batch) {
    const ComparedTable& table = comparison_.table(batch.table);
    std::map<std::uint16_t, std::string> places;
    for (const DifferingRow& row : batch.rows) {
      std::string& list = places[row.here->where.part];
      list += fmt::format("{}\"({},{})\"", list.empty() ? "" : ",", row.here->where.block,
                          row.here->where.offset);
    }
    std::int64_t removed = 0;
    for (const auto& [part, list] : places)
      removed += TRY(connection_.query(delete_sql(table),
                                       {std::to_string(table.parts[part]), "{" + list + "}"}))
                     .affected();
    return removed;
  }

  domain::Event event(const Batch& batch, std::int64_t changed) const {
    std::vector<std::string> keys;
    for (const DifferingRow& row : batch.rows) {
      std::string bytes;
      row.key.append_to(bytes);
      if (keys.size() < 32) keys.push_back(to_hex(bytes));
    }
    domain::Event event;
    event.kind = domain::EventKind::drift_repaired;
    event.outcome = domain::Outcome::allowed;
    event.activity = batch.removes ? domain::Activity::remove : domain::Activity::update;
    event.time = clock_.now();
    event.region = options_.region;
    event.operation = "reference.repair";
    event.resource = "table:" + comparison_.table(batch.table).label();
    event.details = {{"table", comparison_.table(batch.table).label()},
                     {"rows", std::to_string(changed)},
                     {"differing", std::to_string(batch.rows.size())},
                     {"keys_hashed", fmt::format("{}", fmt::join(keys, " "))}};
    return event;
  }

  // What the stream has changed meanwhile is nobody's difference any more.
  static void conclude(TableOutcome& outcome) {
    if (outcome.outcome != "different") return;
    if (outcome.blocked == 0) outcome.outcome = "repaired";
  }

  Comparison& comparison_;
  domain::EventSink& sink_;
  const Clock& clock_;
  const RepairOptions& options_;
  pg::Connection connection_;
  std::map<std::size_t, std::string> refusals_;
  std::uint64_t done_ = 0;
  std::uint64_t all_ = 0;
};

}  // namespace

Result<void> repair(Comparison& comparison, const std::vector<std::vector<DifferingRow>>& rows,
                    domain::EventSink& sink, const Clock& clock, const RepairOptions& options) {
  if (std::ranges::all_of(rows, [](const Rows& of_table) { return of_table.empty(); })) return {};
  Repair repair(comparison, sink, clock, options, TRY(pg::Connection::open(options.dsn)));
  return repair.run(rows);
}

}  // namespace domicile::reference
