#include "pg/replication.h"

#include <cerrno>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include "base/check.h"
#include "pg/server_error.h"

namespace domicile::pg {
namespace {

// Seconds from 1970 to PostgreSQL's 2000-01-01.
constexpr std::int64_t kEpochSeconds = 946'684'800;

std::int64_t now_us() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count() -
         kEpochSeconds * 1'000'000;
}

}  // namespace

void ReplicationConnection::Closer::operator()(PGconn* connection) const { PQfinish(connection); }
void ReplicationConnection::Freer::operator()(char* buffer) const { PQfreemem(buffer); }

ReplicationConnection::ReplicationConnection(PGconn* connection) : connection_(connection) {}

Result<ReplicationConnection> ReplicationConnection::open(const std::string& dsn) {
  // The canonical forms of values, as pgoutput prints them: without them the same value could travel in two ways.
  const char* keywords[] = {"application_name",
                            "connect_timeout",
                            "client_encoding",
                            "options",
                            "dbname",
                            "replication",
                            nullptr};
  const char* values[] = {
      "domicile reference",
      "5",
      "UTF8",
      "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC "
      "-c bytea_output=hex -c search_path=",
      dsn.c_str(),
      "database",
      nullptr};
  ReplicationConnection made(PQconnectdbParams(keywords, values, 1));
  if (PQstatus(made.connection_.get()) != CONNECTION_OK) {
    Error error = connect_error(made.connection_.get(), dsn);
    // A failed start has no SQLSTATE; these words are those of PostgreSQL 15, and of 16 and later.
    for (const char* words : {"to start walsender", "to start WAL sender"}) {
      if (error.message.find(words) == std::string::npos) continue;
      return fail(Code::denied, error.message + "; as an administrator: ALTER ROLE ... REPLICATION",
                  "rights_missing");
    }
    return std::unexpected(std::move(error));
  }
  return made;
}

Result<Rows> ReplicationConnection::command(const std::string& text) {
  Rows rows(PQexec(connection_.get(), text.c_str()));
  const auto* raw = rows.raw();
  const auto status = PQresultStatus(raw);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_COPY_BOTH) {
    return std::unexpected(error_of(raw, connection_.get()));
  }
  return rows;
}

Result<SystemIdentity> ReplicationConnection::identify() {
  const Rows rows = TRY(command("IDENTIFY_SYSTEM"));
  return SystemIdentity{.system_identifier = std::string(rows.text(0, 0)),
                        .timeline = rows.integer(0, 1),
                        .flushed = TRY(wire::parse_lsn(rows.text(0, 2)))};
}

Result<NewSlot> ReplicationConnection::create_slot(const std::string& name, SlotLife life,
                                                   std::chrono::milliseconds at_most) {
  TRY(command(fmt::format("SET statement_timeout = {}", at_most.count())));
  const auto made =
      command(fmt::format("CREATE_REPLICATION_SLOT {} {}LOGICAL pgoutput (SNAPSHOT 'export')",
                          quote_identifier(name), life == SlotLife::temporary ? "TEMPORARY " : ""));
  if (!made) return std::unexpected(made.error());
  return NewSlot{.consistent_point = TRY(wire::parse_lsn(made->text(0, 1))),
                 .snapshot = std::string(made->text(0, 2))};
}

Result<void> ReplicationConnection::drop_slot(const std::string& name) {
  TRY(command(fmt::format("DROP_REPLICATION_SLOT {} WAIT", quote_identifier(name))));
  return {};
}

Result<void> ReplicationConnection::start(const std::string& slot, wire::Lsn from,
                                          const std::string& publication) {
  TRY(command(
      fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})",
                  quote_identifier(slot), wire::format_lsn(from),
                  quote_literal(quote_identifier(publication)))));
  return {};
}

Result<std::optional<std::string_view>> ReplicationConnection::next(
    std::chrono::milliseconds wait) {
  for (;;) {
    char* buffer = nullptr;
    const int length = PQgetCopyData(connection_.get(), &buffer, 1);
    held_.reset(buffer);
    if (length > 0) return std::string_view(buffer, static_cast<std::size_t>(length));
    if (length < 0) {
      const Rows end(PQgetResult(connection_.get()));
      Error error = error_of(end.raw(), connection_.get());
      if (error.message.empty()) error.message = "the server ended the stream";
      return std::unexpected(std::move(error).within("replication stream"));
    }
    pollfd readable{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1, static_cast<int>(wait.count()));
    if (ready == 0) return std::nullopt;
    if (ready < 0 && errno != EINTR)
      return fail(Code::internal, "poll() failed on the replication stream");
    if (ready > 0 && PQconsumeInput(connection_.get()) != 1) {
      return std::unexpected(error_of(nullptr, connection_.get()).within("replication stream"));
    }
  }
}

Result<void> ReplicationConnection::send_status(wire::Lsn written, wire::Lsn flushed) {
  const std::string update = wire::replication::status_update(written, flushed, now_us());
  if (PQputCopyData(connection_.get(), update.data(), static_cast<int>(update.size())) != 1 ||
      PQflush(connection_.get()) != 0) {
    return std::unexpected(error_of(nullptr, connection_.get()).within("replication stream"));
  }
  return {};
}

}  // namespace domicile::pg
