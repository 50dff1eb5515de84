// The part of an applier that turns the stream into transactions.
#include <array>
#include <future>

#include <fmt/format.h>

#include "base/log.h"
#include "reference/applier_worker.h"

namespace domicile::reference {
namespace {

// Microseconds from 1970 to PostgreSQL's 2000-01-01.
constexpr std::int64_t kEpochUs = 946'684'800'000'000;
const QualifiedName kBeat{"domicile", "reference_beat"};

Error explained(Error error) {
  if (error.reason == "42501") {
    return Error{
        Code::denied,
        "the applier's login lacks a right: " + error.message + "; run domicile region init again",
        "rights_missing"};
  }
  if (error.reason.starts_with("22") || error.reason == "42703" || error.reason == "42P01" ||
      error.reason == "42804") {
    return Error{Code::conflict, "a row does not fit this region's table: " + error.reason,
                 "schema_drift"};
  }
  return error;
}

}  // namespace

Result<void> Applier::Worker::loop(RecordSource& source, Puller& puller) {
  while (!stopping()) {
    const auto next = TRY(source.next(std::chrono::milliseconds(100)));
    switch (next.moment) {
      case RecordSource::Moment::idle: break;
      case RecordSource::Moment::record:
        switch (next.record.kind) {
          case RecordKind::message: TRY(take_message(source, next.record.bytes)); break;
          case RecordKind::copy_begin: TRY(copy(source, puller, next.record.bytes)); break;
          case RecordKind::sequences: TRY(set_sequences(next.record.bytes)); break;
          default: return fail(Code::invalid, "rows of a copy outside of one", "frame_malformed");
        }
        break;
      case RecordSource::Moment::frame_end:
        clock_offset_.add(source.frame().clock_offset_us, source.frame().uncertainty_us);
        frames_.push_back(source.facts());
        if (!in_source_)
          TRY(commit(source, puller));
        else
          TRY(store_piece());
        source.release();
    }
  }
  return {};
}

Result<void> Applier::Worker::take_message(RecordSource& source, std::string_view message) {
  const auto parsed = TRY(wire::pgoutput::parse(message));
  if (const auto* begin = std::get_if<wire::pgoutput::Begin>(&parsed)) {
    if (in_source_)
      return fail(Code::invalid, "a transaction inside another", "pgoutput_malformed");
    in_source_ = true;
    begun_ = begin->commit;
    return {};
  }
  if (const auto* commit = std::get_if<wire::pgoutput::Commit>(&parsed)) {
    if (!in_source_)
      return fail(Code::invalid, "the end of a transaction that never began", "pgoutput_malformed");
    in_source_ = false;
    reached_ = commit->end;
    if (beat_) beat_committed_us_ = commit->committed_us + kEpochUs;
    return {};
  }
  if (const auto* relation = std::get_if<wire::pgoutput::Relation>(&parsed)) {
    const auto known = described_.find(relation->id);
    if (known != described_.end() && known->second == message) return {};
    TRY(store_piece());  // what came so far belongs to the table as it was
    described_[relation->id] = std::string(message);
    return take_relation(*relation);
  }
  return take_change(source, message, parsed);
}

// When the session began both sides agreed. What was committed before that, under an older type, is text that today's type
// takes. Types of PostgreSQL itself have one number everywhere; others are told apart by name when a session begins.
bool Applier::Worker::is_other_type(const wire::pgoutput::Column& column,
                                    const ColumnShape& mine) const {
  constexpr std::uint32_t kFirstOwnType = 16'384;
  return begun_ > agreed_at_ && column.type < kFirstOwnType &&
         (column.type != mine.oid || column.modifier != mine.modifier);
}

Result<void> Applier::Worker::take_relation(const wire::pgoutput::Relation& relation) {
  Target& target = targets_[relation.id];
  target = Target{};
  target.name = {std::string(relation.schema), std::string(relation.name)};
  target.columns = relation.columns.size();
  target.heartbeat = target.name == kBeat;
  const auto own = own_.find(target.name);
  if (own == own_.end()) {
    const std::string detail = fmt::format(
        "the stream brought {}, which is no reference table of this region's catalog; nothing of "
        "it was stored",
        to_string(target.name));
    raise("class_violation", to_string(target.name), detail, "critical");
    return fail(Code::denied, detail, "class_violation");
  }
  const auto copied = copied_.find(target.name);
  if (target.heartbeat || copied == copied_.end()) return {};
  target.from = copied->second;
  std::vector<std::string> names;
  for (const auto& column : relation.columns) {
    const ColumnShape* mine = own->second.find(column.name);
    if (mine == nullptr || mine->generated) {
      const std::string detail =
          fmt::format("{}: the master region has a column {} that is not here",
                      to_string(target.name), column.name);
      raise("schema_drift", to_string(target.name), detail, "high");
      return fail(Code::conflict, detail, "schema_drift");
    }
    if (is_other_type(column, *mine)) {
      const std::string detail =
          fmt::format("{}: column {} has another type in the master region now than here ({})",
                      to_string(target.name), column.name, mine->type);
      raise("schema_drift", to_string(target.name), detail, "high");
      return fail(Code::conflict, detail, "schema_drift");
    }
    if (mine->key && !column.key) {
      return fail(Code::conflict,
                  fmt::format("{}: its replica identity does not hold the primary key: ALTER TABLE "
                              "... REPLICA IDENTITY DEFAULT in the master region",
                              to_string(target.name)),
                  "replica_identity");
    }
    names.emplace_back(column.name);
  }
  target.writer = std::make_shared<TableWriter>(own->second, names);
  if (target.writer->key().empty()) {
    return fail(Code::conflict,
                fmt::format("{}: the primary key is not among the columns that travel",
                            to_string(target.name)),
                "replica_identity");
  }
  return {};
}

Result<void> Applier::Worker::take_change(RecordSource& source, std::string_view message,
                                          const wire::pgoutput::AnyMessage& parsed) {
  if (!in_source_)
    return fail(Code::invalid, "a change outside of a transaction", "pgoutput_malformed");
  const auto ids = TRY(wire::pgoutput::relations_of(message));
  std::vector<const Target*> targets;
  for (const std::uint32_t id : ids) {
    const auto found = targets_.find(id);
    if (found == targets_.end())
      return fail(Code::invalid, "a change of a table that was never described",
                  "pgoutput_malformed");
    const Target& target = found->second;
    if (target.heartbeat)
      beat_ = true;
    else
      ++source.facts().rows[target.name];
    if (target.writer != nullptr && begun_ >= target.from) targets.push_back(&target);
  }
  if (targets.empty()) return {};
  // What needs its order does not take the rest along, which is stored many at once.
  if (!changes_.empty() && changes_.net() == needs_order(*targets.front(), parsed))
    TRY(store_piece());
  if (std::holds_alternative<wire::pgoutput::Truncate>(parsed)) {
    changes_.truncate(std::move(targets), message);
  } else {
    TRY(changes_.add(*targets.front(), message, parsed));
  }
  if (changes_.size() < options_.piece_rows) return {};
  return store_piece();
}

// Begins the transaction where none is open, and makes the writer's savepoint, all in one round trip. The classes are held
// until the transaction ends: they cannot change in between.
Result<void> Applier::Worker::require_class(const std::vector<QualifiedName>& names,
                                            Savepoint savepoint) {
  std::vector<std::string> schemas, tables;
  for (const QualifiedName& name : names) {
    schemas.push_back(name.schema);
    tables.push_back(name.name);
  }
  const auto allowed = sql_->script(fmt::format(
      "{}{}SELECT domicile.require_reference({}, {}){}", open_ ? "" : "BEGIN; ",
      savepoint_ ? "RELEASE SAVEPOINT net; " : "", pg::quote_literal(pg::array_literal(schemas)),
      pg::quote_literal(pg::array_literal(tables)),
      savepoint == Savepoint::net ? "; SAVEPOINT net" : ""));
  open_ = true;
  savepoint_ = savepoint == Savepoint::net;
  if (allowed) return {};
  if (allowed.error().reason != "42501") return std::unexpected(allowed.error());
  return fail(Code::denied, allowed.error().message, "class_violation");
}

Result<void> Applier::Worker::store_piece() {
  if (changes_.empty()) return {};
  std::vector<QualifiedName> names;
  for (const auto& [name, table] : changes_.tables()) {
    names.push_back(name);
    auto& count = counts_[name];
    count[0] += table.inserts;
    count[1] += table.updates;
    count[2] += table.deletes;
  }
  TRY(require_class(names, Savepoint::net));
  auto outcome = ChangeWriter(*sql_, order_).write(changes_, reached_);
  if (!outcome) return std::unexpected(explained(std::move(outcome).error()));
  for (const auto& [name, count] : outcome->conflicts) counts_[name][3] += count;
  for (const Refused& refused : outcome->refused) {
    const std::string detail = fmt::format("a change of {} was refused here and set aside: {}",
                                           to_string(refused.table), refused.error.reason);
    log_warning("reference", detail);
    raise(refused.effect == Effect::remove ? "delete_refused" : "row_refused",
          to_string(refused.table), detail, "medium");
  }
  changes_.clear();
  return {};
}

// The events of the frames that end up in this transaction; they become durable while the rows are stored.
std::vector<Applier::Worker::Recorded> Applier::Worker::submit_frames(domain::Outcome outcome,
                                                                      std::string_view reason) {
  std::vector<Recorded> recorded;
  for (const FrameFacts& frame : frames_) {
    std::uint64_t rows = 0;
    std::string tables;
    for (const auto& [name, count] : frame.rows) {
      rows += count;
      tables += fmt::format("{}{}:{}", tables.empty() ? "" : " ", to_string(name), count);
    }
    if (rows == 0) continue;
    domain::Event event;
    event.kind = domain::EventKind::reference_applied;
    event.outcome = outcome;
    event.activity = domain::Activity::update;
    event.time = clock_.now();
    event.region = options_.region;
    event.operation = "reference.apply";
    event.resource = "region:" + options_.region.text();
    event.reason = reason;
    event.details = {{"tables", std::move(tables)},          {"rows", std::to_string(rows)},
                     {"bytes", std::to_string(frame.bytes)}, {"from", wire::format_lsn(position_)},
                     {"to", wire::format_lsn(reached_)},     {"sha256", frame.sha256}};
    auto promise = std::make_shared<std::promise<Result<std::uint64_t>>>();
    recorded.push_back(promise->get_future());
    events_.submit(std::move(event), [promise](Result<std::uint64_t> sequence) {
      promise->set_value(std::move(sequence));
    });
  }
  return recorded;
}

// Makes visible what is stored, once its events are durable.
Result<void> Applier::Worker::make_visible(std::vector<Recorded> recorded) {
  for (Recorded& each : recorded) TRY(each.get());
  open_ = savepoint_ = false;
  if (auto stored = sql_->script("COMMIT"); !stored)
    return std::unexpected(explained(std::move(stored).error()));
  const std::lock_guard lock(mutex_);
  for (const FrameFacts& frame : frames_) {
    for (const auto& [name, count] : frame.rows) status_.rows += count;
    status_.bytes += frame.bytes;
  }
  frames_.clear();
  return {};
}

Result<void> Applier::Worker::commit(RecordSource& source, Puller& puller) {
  if (!open_ && changes_.empty() && reached_ == position_) {
    frames_.clear();  // nothing but parts of what is committed already
    return {};
  }
  auto recorded = submit_frames(domain::Outcome::allowed, "");
  TRY(store_piece());
  std::vector<std::string> schemas, tables, numbers[4];
  for (const auto& [name, count] : counts_) {
    schemas.push_back(name.schema);
    tables.push_back(name.name);
    for (int i = 0; i < 4; ++i)
      numbers[i].push_back(std::to_string(count[static_cast<std::size_t>(i)]));
  }
  counts_.clear();
  const bool beat = std::exchange(beat_, false);
  const auto list = [](const std::vector<std::string>& items) {
    return pg::quote_literal(pg::array_literal(items));
  };
  TRY(sql_->script(
      fmt::format("{}SELECT domicile.reach_reference('{}', '{}', {}, {}, {}, {}, {}, {})",
                  open_ ? "" : "BEGIN; ", wire::format_lsn(position_), wire::format_lsn(reached_),
                  list(schemas), list(tables), list(numbers[0]), list(numbers[1]), list(numbers[2]),
                  list(numbers[3]))));
  open_ = true;
  TRY(make_visible(std::move(recorded)));
  position_ = reached_;
  {
    const std::lock_guard lock(mutex_);
    status_.position = wire::format_lsn(position_);
  }
  if (!beat) return {};
  note_lag(source);
  return keep_house(puller);
}

void Applier::Worker::note_lag(RecordSource& source) {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.now().time_since_epoch())
          .count();
  clock_offset_.add(source.frame().clock_offset_us, source.frame().uncertainty_us);
  lag_.add(now + clock_offset_.offset_us() - beat_committed_us_);
  well_at_ = clock_.steady();
  watch_limit(std::chrono::milliseconds(lag_.last_us() / 1000), "");
  const std::int64_t last = lag_.last_us() / 1000, p50 = lag_.percentile_us(50) / 1000,
                     p99 = lag_.percentile_us(99) / 1000;
  {
    const std::lock_guard lock(mutex_);
    status_.lag_ms_last = last;
    status_.lag_ms_p50 = p50;
    status_.lag_ms_p99 = p99;
  }
}

// Once a heartbeat, in one round trip: what people read of the lag, what an operator asked for, and how far this database's log
// is on disk. No commit waits for the disk: what is confirmed to the publisher is what the log has overtaken.
Result<void> Applier::Worker::keep_house(Puller& puller) {
  const ApplierStatus now = status();
  const auto rows =
      TRY(sql_->query("UPDATE domicile.reference_source SET lag_ms_last = $1::bigint, lag_ms_p50 = "
                      "$2::bigint, lag_ms_p99 = $3::bigint, "
                      "beat_at = pg_catalog.to_timestamp($4::double precision / 1000000), "
                      "contact_at = pg_catalog.clock_timestamp() "
                      "RETURNING resync, pg_catalog.pg_current_wal_insert_lsn(), "
                      "pg_catalog.pg_current_wal_flush_lsn()",
                      {std::to_string(now.lag_ms_last), std::to_string(now.lag_ms_p50),
                       std::to_string(now.lag_ms_p99), std::to_string(beat_committed_us_)}));
  if (rows.boolean(0, 0))
    return fail(Code::unavailable, "an operator asked for a new copy of everything", "resync");
  const wire::Lsn flushed = TRY(wire::parse_lsn(rows.text(0, 2)));
  if (unconfirmed_ && flushed >= unconfirmed_->written) {
    puller.confirm(unconfirmed_->position);
    unconfirmed_.reset();
  }
  if (!unconfirmed_)
    unconfirmed_ =
        Unconfirmed{.position = position_, .written = TRY(wire::parse_lsn(rows.text(0, 1)))};
  return {};
}

}  // namespace domicile::reference
