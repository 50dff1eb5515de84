#include "reference/session.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "crypto/sha256.h"
#include "reference/finding_event.h"

namespace domicile::reference {
namespace {

constexpr auto kStatusEvery = std::chrono::milliseconds(200);
constexpr auto kSaidAgain = std::chrono::seconds(5);  // lest the server takes us for dead

bool is_own(const QualifiedName& name) { return name.schema == "domicile"; }

}  // namespace

std::string slot_of(std::string_view region) {
  std::string slot = "domicile_" + std::string(region);
  std::ranges::replace(slot, '-', '_');
  return slot;
}

Session::Session(SessionOptions options, SessionStart start, domain::EventSink& events,
                 const Clock& clock)
    : options_(std::move(options)),
      start_(std::move(start)),
      slot_(slot_of(start_.region)),
      events_(events),
      clock_(clock) {
  shared_->durable = start_.position;
  thread_ = std::thread([this] { run(); });
}

Session::~Session() { stop(); }

void Session::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    if (!shared_->ended)
      shared_->ended =
          Error{Code::conflict, "another session took the place of this one", "session_unknown"};
  }
  shared_->changed.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Session::stopping() {
  const std::lock_guard lock(shared_->mutex);
  return shared_->stopping;
}

Result<std::optional<std::string>> Session::pull(std::uint64_t sequence, wire::Lsn durable,
                                                 std::chrono::milliseconds wait) {
  std::unique_lock lock(shared_->mutex);
  Shared& shared = *shared_;
  shared.durable = std::max(shared.durable, durable);
  if (shared.given && shared.given->sequence == sequence) return shared.given->bytes;
  shared.changed.wait_for(
      lock, wait, [&] { return shared.stopping || shared.ended || !shared.waiting.empty(); });
  if (shared.waiting.empty()) {
    if (shared.ended) return std::unexpected(*shared.ended);
    return std::nullopt;
  }
  const auto frame = shared.waiting.front();
  if (frame->sequence != sequence) {
    return fail(Code::conflict,
                fmt::format("frame {} was asked for, and {} is next", sequence, frame->sequence),
                "session_unknown");
  }
  shared.changed.wait(lock, [&] { return shared.stopping || frame->recorded || frame->failed; });
  if (frame->failed) return std::unexpected(*frame->failed);
  if (!frame->recorded) return std::unexpected(*shared.ended);
  shared.waiting.pop_front();
  shared.given = frame;
  lock.unlock();
  shared.changed.notify_all();
  return frame->bytes;
}

void Session::finish(Error error) {
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->ended) shared_->ended = error;
  }
  shared_->changed.notify_all();
}

// What the database keeps of this region, and what somebody must look at.
void Session::note(const char* state, const Error& error) {
  if (!sql_) return;
  const auto known = note_peer(*sql_, start_.region, slot_, state, error, reported_durable_, 0, 0);
  if (!known) log_warning("reference", known.error().message);
}

void Session::run() {
  Result<void> done = fail(Code::internal, "");
  try {
    done = stream();
  } catch (const std::exception& error) {
    done = fail(Code::internal, error.what());
  }
  if (done || stopping()) return;
  log_error("reference",
            fmt::format("the stream for {} stopped: {}", start_.region, done.error().message));
  note("stopped", done.error());
  finish(done.error());
}

Result<void> Session::read_tables() {
  tables_ = TRY(read_shapes(*sql_));
  return {};
}

Result<void> Session::check_class(std::string_view schema, std::string_view name) {
  const QualifiedName table{std::string(schema), std::string(name)};
  if (tables_.contains(table)) return {};
  const std::string detail = fmt::format(
      "{} is in the publication {} and no reference table of the catalog; the stream for {} "
      "stopped before a row of it left the region",
      to_string(table), kPublication, start_.region);
  const auto fresh =
      sql_->query("SELECT domicile.note_reference_finding('class_violation', $1, $2)",
                  {to_string(table), detail});
  domain::Event event = finding_event(clock_, options_.region, "reference.publish",
                                      "table:" + to_string(table), "class_violation", "critical");
  event.outcome = domain::Outcome::denied;
  event.details = {{"to_region", start_.region}};
  if (!fresh || fresh->boolean(0, 0)) TRY(events_.record(std::move(event)));
  return fail(Code::denied, detail, "class_violation");
}

// Whether what was described so far may still travel.
Result<void> Session::recheck() {
  if (!clerk_) return {};
  auto now = TRY(clerk_->allowed());
  if (now == nullptr || now == allowed_) return {};
  allowed_ = std::move(now);
  TRY(read_tables());
  for (auto& [id, relation] : relations_) {
    TRY(check_class(relation.name.schema, relation.name.name));
    withhold(relation);
  }
  return {};
}

// Whether it may travel. pgoutput describes a partition even where its rows go under its root's name, so what is no
// reference table stops the stream with its first row, and its description stays here.
Result<bool> Session::note_relation(const wire::pgoutput::Relation& relation) {
  TRY(read_tables());  // a new table, or a changed one: look now
  QualifiedName name{std::string(relation.schema), std::string(relation.name)};
  const bool travels = tables_.contains(name);
  relations_.erase(relation.id);
  barred_.erase(relation.id);
  if (!travels) {
    barred_.emplace(relation.id, std::move(name));
    return false;
  }
  Described& described = relations_[relation.id];
  described.name = std::move(name);
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    described.columns.emplace_back(relation.columns[i].name);
    if (relation.columns[i].key) described.withholding.key.push_back(i);
  }
  withhold(described);
  return true;
}

void Session::withhold(Described& relation) const {
  relation.withholding.refuse.clear();
  const auto shape = tables_.find(relation.name);
  for (std::size_t i = 0; shape != tables_.end() && i < relation.columns.size(); ++i) {
    const ColumnShape* column = shape->second.find(relation.columns[i]);
    if (column != nullptr && column->refuse) relation.withholding.refuse.push_back(i);
  }
}

Result<void> Session::take(const wire::replication::Data& data) {
  const char type = data.message.empty() ? '\0' : data.message[0];
  switch (type) {
    case 'O':
    case 'M':
    case 'Y': return {};  // nothing that an applier needs
    case 'B': {
      const auto begin = std::get<wire::pgoutput::Begin>(TRY(wire::pgoutput::parse(data.message)));
      if (late_ && begin.commit >= late_->slot.consistent_point) {
        TRY(copy(late_->slot.snapshot, late_->slot.consistent_point, late_->tables));
        late_.reset();
      }
      in_transaction_ = true;
      break;
    }
    case 'C':
      to_ = std::get<wire::pgoutput::Commit>(TRY(wire::pgoutput::parse(data.message))).end;
      in_transaction_ = false;
      break;
    case 'R':
      if (!TRY(note_relation(
              std::get<wire::pgoutput::Relation>(TRY(wire::pgoutput::parse(data.message))))))
        return {};
      break;
    default: return take_change(data.message);
  }
  writer_.add(RecordKind::message, data.message);
  return writer_.size() < options_.frame_bytes ? Result<void>() : seal();
}

Result<void> Session::take_change(std::string_view message) {
  const Described* only = nullptr;
  for (const std::uint32_t id : TRY(wire::pgoutput::relations_of(message))) {
    if (const auto barred = barred_.find(id); barred != barred_.end())
      TRY(check_class(barred->second.schema, barred->second.name));
    const auto known = relations_.find(id);
    if (known == relations_.end())
      return fail(Code::internal, "a change of a table that was never described",
                  "pgoutput_malformed");
    only = &known->second;
    ++rows_[only->name];
  }
  if (only == nullptr || only->withholding.refuse.empty() || message.starts_with('T')) {
    writer_.add(RecordKind::message, message);
  } else if (const auto travels = TRY(without_refused(only->withholding, message))) {
    writer_.add(RecordKind::message, *travels);
  } else {
    --rows_[only->name];
  }
  return writer_.size() < options_.frame_bytes ? Result<void>() : seal();
}

Result<void> Session::seal() {
  if (writer_.empty()) return {};
  TRY(recheck());
  const auto frame = std::make_shared<Frame>();
  frame->sequence = ++sequence_;
  frame->bytes = writer_.take(frame->sequence);
  std::uint64_t rows = 0;
  std::string tables;
  for (const auto& [name, count] : rows_) {
    if (is_own(name)) continue;
    rows += count;
    tables += fmt::format("{}{}:{}", tables.empty() ? "" : " ", to_string(name), count);
  }
  rows_.clear();
  frame->recorded = rows == 0;
  if (clerk_) clerk_->sent(rows, frame->bytes.size());
  if (rows > 0) {
    domain::Event event;
    event.kind = domain::EventKind::reference_applied;
    event.outcome = domain::Outcome::allowed;
    event.activity = domain::Activity::read;
    event.time = clock_.now();
    event.region = options_.region;
    event.operation = "reference.publish";
    event.resource = "region:" + start_.region;
    event.details = {
        {"tables", std::move(tables)},
        {"rows", std::to_string(rows)},
        {"bytes", std::to_string(frame->bytes.size())},
        {"from", wire::format_lsn(from_)},
        {"to", wire::format_lsn(to_)},
        {"sha256", crypto::sha256_hex(std::string_view(frame->bytes).substr(FrameWriter::kHead))}};
    events_.submit(std::move(event), [frame, shared = shared_](Result<std::uint64_t> recorded) {
      {
        const std::lock_guard lock(shared->mutex);
        frame->recorded = recorded.has_value();
        if (!recorded)
          frame->failed =
              Error{Code::unavailable, "the event log takes no events: " + recorded.error().message,
                    "log_unavailable"};
      }
      shared->changed.notify_all();
    });
  }
  from_ = to_;
  std::unique_lock lock(shared_->mutex);
  shared_->waiting.push_back(frame);
  shared_->changed.notify_all();
  shared_->changed.wait(
      lock, [&] { return shared_->stopping || shared_->waiting.size() < options_.waiting_max; });
  return {};
}

void Session::sequences() {
  if (in_transaction_) return;
  if (const auto changed = clerk_->take_sequences()) writer_.add(RecordKind::sequences, *changed);
}

// Tells the server how far the region is.
Result<void> Session::report(pg::ReplicationConnection& stream) {
  const SteadyTime now = clock_.steady();
  if (now - reported_ < kStatusEvery) return {};
  reported_ = now;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->durable == reported_durable_ && now < said_again_) return {};
    reported_durable_ = shared_->durable;
  }
  said_again_ = now + kSaidAgain;
  clerk_->confirmed(reported_durable_);
  return stream.send_status(reported_durable_, reported_durable_);
}

Result<void> Session::stream() {
  sql_ = TRY(pg::Connection::open(std::string(options_.dsn.reveal())));
  TRY(
      sql_->script("SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3; "
                   "SET timezone = 'UTC'; "
                   "SET bytea_output = hex; SET search_path = ''"));
  TRY(read_tables());
  auto stream = TRY(pg::ReplicationConnection::open(std::string(options_.dsn.reveal())));
  TRY(begin_streaming(stream));
  clerk_.emplace(ClerkOptions{
      .dsn = options_.dsn, .region = start_.region, .slot = slot_, .recheck = options_.recheck});
  while (!stopping()) {
    auto got = TRY(stream.next(std::chrono::milliseconds(0)));
    if (!got) {
      bool idle = false;
      {
        const std::lock_guard lock(shared_->mutex);
        idle = shared_->waiting.empty();
      }
      // A transaction goes in one piece where it can: half of one would only wait over there.
      if (idle && !in_transaction_) TRY(seal());
      TRY(recheck());  // also: a server that stops ends the clerk first, and waits for this stream to let go
      sequences();
      TRY(report(stream));
      got =
          TRY(stream.next(std::chrono::milliseconds(writer_.empty() || in_transaction_ ? 100 : 2)));
    }
    if (!got) continue;
    const auto received = TRY(wire::replication::parse(*got));
    if (const auto* alive = std::get_if<wire::replication::Keepalive>(&received)) {
      if (alive->reply) TRY(stream.send_status(reported_durable_, reported_durable_));
      continue;
    }
    TRY(take(std::get<wire::replication::Data>(received)));
    TRY(report(stream));
  }
  return {};
}

}  // namespace domicile::reference
