#include "reference/session_clerk.h"

namespace domicile::reference {
namespace {

constexpr int kLineEvery = 4;        // looks
constexpr int kSequencesEvery = 20;  // looks

}  // namespace

Result<void> note_peer(pg::Connection& sql, const std::string& region, const std::string& slot,
                       std::string_view state, const Error& error, wire::Lsn confirmed,
                       std::uint64_t rows, std::uint64_t bytes) {
  TRY(sql.query(
      "SELECT domicile.note_reference_peer($1, $2, $3, $4, $5, $6::pg_lsn, $7::bigint, $8::bigint)",
      {region, slot, std::string(state), error.reason, error.message,
       confirmed == 0 ? std::nullopt : pg::Param(wire::format_lsn(confirmed)), std::to_string(rows),
       std::to_string(bytes)}));
  return {};
}

Result<std::string> sequences_json(pg::Connection& sql) {
  const auto rows =
      TRY(sql.query("SELECT coalesce(json_object_agg(sequence, value), '{}')::text FROM "
                    "domicile.reference_sequences()"));
  return std::string(rows.text(0, 0));
}

SessionClerk::SessionClerk(ClerkOptions options)
    : options_(std::move(options)), thread_([this] { run(); }) {}

SessionClerk::~SessionClerk() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Result<std::shared_ptr<const TableNames>> SessionClerk::allowed() {
  const std::lock_guard lock(mutex_);
  if (failed_) return std::unexpected(*failed_);
  return allowed_;
}

std::optional<std::string> SessionClerk::take_sequences() {
  const std::lock_guard lock(mutex_);
  return std::exchange(sequences_, std::nullopt);
}

void SessionClerk::sent(std::uint64_t rows, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  rows_ += rows;
  bytes_ += bytes;
}

void SessionClerk::confirmed(wire::Lsn durable) {
  const std::lock_guard lock(mutex_);
  confirmed_ = durable;
}

Result<void> SessionClerk::look() {
  const auto rows =
      TRY(sql_->query("SELECT t.schema_name, t.table_name, (SELECT "
                      "pg_catalog.string_agg(l.column_name, E'\\n' ORDER BY l.column_name) "
                      "FROM domicile.reference_link l WHERE (l.schema_name, l.table_name, l.rule) "
                      "= (t.schema_name, t.table_name, 'refuse')) "
                      "FROM domicile.reference_tables() t"));
  auto names = std::make_shared<TableNames>();
  for (int i = 0; i < rows.size(); ++i)
    names->insert({{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))},
                   std::string(rows.text(i, 2))});
  const std::lock_guard lock(mutex_);
  if (allowed_ == nullptr || *allowed_ != *names) allowed_ = std::move(names);
  return {};
}

Result<void> SessionClerk::look_at_sequences() {
  std::string now = TRY(sequences_json(*sql_));
  if (now == last_sequences_) return {};
  last_sequences_ = now;
  const std::lock_guard lock(mutex_);
  sequences_ = std::move(now);
  return {};
}

Result<void> SessionClerk::write_line() {
  std::uint64_t rows = 0, bytes = 0;
  wire::Lsn confirmed = 0;
  {
    const std::lock_guard lock(mutex_);
    rows = std::exchange(rows_, 0);
    bytes = std::exchange(bytes_, 0);
    confirmed = confirmed_;
  }
  return note_peer(*sql_, options_.region, options_.slot, "streaming", {}, confirmed, rows, bytes);
}

void SessionClerk::run() {
  for (int round = 0;; ++round) {
    const auto done = [&]() -> Result<void> {
      if (!sql_) sql_ = TRY(pg::Connection::open(std::string(options_.dsn.reveal())));
      TRY(look());
      if (round % kLineEvery == 0) TRY(write_line());
      if (round % kSequencesEvery == 0) TRY(look_at_sequences());
      return {};
    }();
    std::unique_lock lock(mutex_);
    if (!done) failed_ = done.error();
    if (!done || wake_.wait_for(lock, options_.recheck, [&] { return stopping_; })) return;
  }
}

}  // namespace domicile::reference
