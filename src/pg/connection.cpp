#include "pg/connection.h"

#include <charconv>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "base/check.h"
#include "pg/server_error.h"

namespace domicile::pg {
namespace {

using OwnedResult = std::unique_ptr<PGresult, decltype(&PQclear)>;

OwnedResult own(PGresult* result) { return OwnedResult(result, &PQclear); }

bool succeeded(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY: return true;
    default: return false;
  }
}

}  // namespace

Rows::Rows(PGresult* result) : result_(result, &PQclear) {}
int Rows::size() const { return PQntuples(result_.get()); }
int Rows::columns() const { return PQnfields(result_.get()); }
std::string_view Rows::column_name(int column) const { return PQfname(result_.get(), column); }
bool Rows::whole_number(int column) const {
  const Oid type = PQftype(result_.get(), column);
  return type == 20 || type == 21 || type == 23;  // int8, int2, int4: fixed numbers of the server
}
bool Rows::null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }

std::string_view Rows::text(int row, int column) const {
  CHECK(row < size() && column < columns());
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Rows::integer(int row, int column) const {
  const std::string_view value = text(row, column);
  if (value.empty()) return 0;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.begin(), value.end(), number);
  CHECK(error == std::errc{} && end == value.end());
  return number;
}

bool Rows::boolean(int row, int column) const { return text(row, column) == "t"; }

std::vector<std::string> Rows::lines(int row, int column) const {
  std::vector<std::string> out;
  for (std::string_view rest = text(row, column); !rest.empty();) {
    const auto end = rest.find('\n');
    out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return out;
}

std::int64_t Rows::affected() const {
  const std::string_view value = PQcmdTuples(result_.get());
  std::int64_t number = 0;
  std::from_chars(value.begin(), value.end(), number);
  return number;
}

void Connection::Closer::operator()(PGconn* connection) const { PQfinish(connection); }

Connection::Connection(PGconn* connection)
    : connection_(connection), notices_(std::make_unique<Notices>()) {
  PQsetNoticeProcessor(
      connection,
      [](void* notices, const char* line) {
        static_cast<Notices*>(notices)->lines.push_back(trimmed(line));
      },
      notices_.get());
}

Result<Connection> Connection::open(const std::string& dsn) {
  // Defaults first, then the user's string: with expand_dbname a later keyword wins.
  const char* keywords[] = {"application_name", "connect_timeout", "dbname", "client_encoding",
                            nullptr};
  const char* values[] = {"domicile", "5", dsn.c_str(), "UTF8", nullptr};
  if (dsn.find('=') == std::string::npos && !dsn.starts_with("postgres://") &&
      !dsn.starts_with("postgresql://")) {
    return fail(Code::invalid,
                "the database address is not a connection string; write "
                "postgresql://user@host/database or host=... dbname=...");
  }
  Connection made(PQconnectdbParams(keywords, values, 1));
  if (PQstatus(made.connection_.get()) != CONNECTION_OK) {
    return std::unexpected(connect_error(made.connection_.get(), dsn));
  }
  return made;
}

Error Connection::last_error(std::string_view doing) const {
  return error_of(nullptr, connection_.get()).within(doing);
}

Result<Rows> Connection::query(const std::string& sql, std::span<const Param> params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param ? param->c_str() : nullptr);
  auto result = own(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                                 nullptr, values.data(), nullptr, nullptr, 0));
  if (!succeeded(result.get())) return std::unexpected(error_of(result.get(), connection_.get()));
  return Rows(result.release());
}

Result<Rows> Connection::execute(const std::string& name, const std::string& sql,
                                 std::span<const BoundValue> params) {
  if (!prepared_.contains(name)) {
    auto made = own(PQprepare(connection_.get(), name.c_str(), sql.c_str(), 0, nullptr));
    if (!succeeded(made.get())) return std::unexpected(error_of(made.get(), connection_.get()));
    prepared_.insert(name);
  }
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
  for (const BoundValue& param : params) {
    CHECK(param.binary || param.null || param.bytes.data()[param.bytes.size()] == '\0');
    values.push_back(param.null ? nullptr : param.bytes.data());
    lengths.push_back(static_cast<int>(param.bytes.size()));
    formats.push_back(param.binary ? 1 : 0);
  }
  auto result = own(PQexecPrepared(connection_.get(), name.c_str(), static_cast<int>(values.size()),
                                   values.data(), lengths.data(), formats.data(), 0));
  if (!succeeded(result.get())) return std::unexpected(error_of(result.get(), connection_.get()));
  return Rows(result.release());
}

Result<void> Connection::script(const std::string& sql) {
  auto result = own(PQexec(connection_.get(), sql.c_str()));
  if (!succeeded(result.get())) {
    Error error = error_of(result.get(), connection_.get());
    if (const char* at = PQresultErrorField(result.get(), PG_DIAG_STATEMENT_POSITION);
        at != nullptr) {
      error.message += fmt::format(" (at character {} of the script)", at);
    }
    return std::unexpected(std::move(error));
  }
  return {};
}

Result<void> Connection::transaction(const std::function<Result<void>()>& body,
                                     const std::string& begin) {
  TRY(script(begin));
  Result<void> done = body();
  if (done) done = script("COMMIT");
  if (!done && in_transaction()) (void)script("ROLLBACK");
  return done;
}

Result<std::int64_t> Connection::copy_in(
    const std::string& sql, const std::function<std::optional<std::string>()>& next_chunk) {
  auto started = own(PQexec(connection_.get(), sql.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_IN) {
    return std::unexpected(error_of(started.get(), connection_.get()));
  }
  while (auto chunk = next_chunk()) {
    if (PQputCopyData(connection_.get(), chunk->data(), static_cast<int>(chunk->size())) != 1) {
      return std::unexpected(last_error("COPY"));
    }
  }
  if (PQputCopyEnd(connection_.get(), nullptr) != 1) return std::unexpected(last_error("COPY"));
  auto ended = own(PQgetResult(connection_.get()));
  const bool ok = succeeded(ended.get());
  Error error = ok ? Error{} : error_of(ended.get(), connection_.get());
  while (auto* more = PQgetResult(connection_.get())) PQclear(more);
  if (!ok) return std::unexpected(std::move(error));
  return Rows(ended.release()).affected();
}

Result<void> Connection::copy_out(const std::string& sql,
                                  const std::function<bool(std::string_view)>& row) {
  auto started = own(PQexec(connection_.get(), sql.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_OUT) {
    return std::unexpected(error_of(started.get(), connection_.get()));
  }
  char* buffer = nullptr;
  int length = 0;
  bool wanted = true;
  while ((length = PQgetCopyData(connection_.get(), &buffer, 0)) > 0) {
    if (wanted && !row(std::string_view(buffer, static_cast<std::size_t>(length)))) {
      wanted = false;
      char why[256];
      const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(
          PQgetCancel(connection_.get()), &PQfreeCancel);
      PQcancel(cancel.get(), why, sizeof why);  // what is under way is read, and dropped
    }
    PQfreemem(buffer);
  }
  auto ended = own(PQgetResult(connection_.get()));
  const bool ok = length != -2 && succeeded(ended.get());
  Error error = ok ? Error{} : error_of(ended.get(), connection_.get());
  while (auto* more = PQgetResult(connection_.get())) PQclear(more);
  if (ok && !wanted) return fail(Code::timeout, "stopped", "57014");
  if (!ok) return std::unexpected(std::move(error));
  return {};
}

int Connection::server_version() const { return PQserverVersion(connection_.get()); }
int Connection::backend_pid() const { return PQbackendPID(connection_.get()); }

bool Connection::in_transaction() const {
  const auto status = PQtransactionStatus(connection_.get());
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

std::vector<std::string> Connection::take_notices() { return std::exchange(notices_->lines, {}); }

std::string Connection::quote_identifier(std::string_view name) const {
  return pg::quote_identifier(name);
}
std::string Connection::quote_literal(std::string_view text) const {
  return pg::quote_literal(text);
}

std::string quote_identifier(std::string_view name) {
  CHECK(name.find('\0') == std::string_view::npos);
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

std::string quote_literal(std::string_view text) {
  CHECK(text.find('\0') == std::string_view::npos);
  std::string out = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  return out + '\'';
}

std::string binary_text_array(std::span<const std::optional<std::string_view>> items) {
  constexpr std::uint32_t kTextOid = 25;
  std::size_t size = 20;
  bool has_null = false;
  for (const auto& item : items) {
    size += 4 + (item ? item->size() : 0);
    has_null |= !item;
  }
  std::string out;
  out.reserve(size);
  const auto put = [&out](std::uint32_t value) {
    const char bytes[] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                          static_cast<char>(value >> 8), static_cast<char>(value)};
    out.append(bytes, sizeof bytes);
  };
  put(items.empty() ? 0 : 1);  // dimensions
  put(has_null ? 1 : 0);
  put(kTextOid);
  if (items.empty()) return out;
  put(static_cast<std::uint32_t>(items.size()));
  put(1);  // the lower bound
  for (const auto& item : items) {
    put(item ? static_cast<std::uint32_t>(item->size()) : 0xFFFFFFFFU);
    if (item) out.append(*item);
  }
  return out;
}

std::string array_literal(std::span<const std::string> items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() == 1 ? "\"" : ",\"";
    for (char c : item) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "}";
}

std::string redact_dsn(const std::string& dsn) {
  char* parse_error = nullptr;
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(dsn.c_str(), &parse_error), &PQconninfoFree);
  if (options == nullptr) {
    PQfreemem(parse_error);
    return "(unreadable address)";
  }
  std::string out;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr || keyword == "password" || keyword == "sslpassword") continue;
    if (!out.empty()) out.push_back(' ');
    out += fmt::format("{}={}", keyword, option->val);
  }
  return out;
}

}  // namespace domicile::pg
