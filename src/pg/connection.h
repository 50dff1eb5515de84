// A blocking PostgreSQL connection for jobs, CLI verbs and worker threads (the doors never block on
// one). One thread at a time. Values travel as text parameters, never inside SQL text; identifiers
// that must stand in SQL text go through quote_identifier().
//
// Errors: Error::reason is the SQLSTATE (5 characters), or "" when the server was not reached
// (Code::unavailable). The message holds the server's message, detail and hint, never the DSN's
// password. 42501 maps to denied, 28xxx to unauthenticated, class 23 to conflict, 40001 and 40P01
// and 55P03 to conflict, 57014 to timeout, class 08, 53 and 57P to unavailable, class 42 and 22 to
// invalid.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;

namespace domicile::pg {

// A parameter: text, or NULL.
using Param = std::optional<std::string>;

// A parameter in its binary form, or as text; a view of bytes that outlive the call.
struct BoundValue {
  std::string_view bytes;
  bool binary = false;
  bool null = false;
};
// A list as the binary form of text[]: no element is quoted here or parsed over there. Elements may be NULL.
std::string binary_text_array(std::span<const std::optional<std::string_view>> items);

class Rows {
 public:
  explicit Rows(PGresult* result);
  int size() const;
  int columns() const;
  std::string_view column_name(int column) const;
  bool whole_number(int column) const;  // by its type: smallint, integer, bigint
  bool null(int row, int column) const;
  std::string_view text(int row, int column) const;  // "" for NULL
  std::int64_t integer(int row, int column) const;   // 0 for NULL; CHECKs that it is a number
  bool boolean(int row, int column) const;           // false for NULL
  std::vector<std::string> lines(int row, int column) const;  // what string_agg(..., E'\n') made
  std::int64_t affected() const;                         // rows of INSERT, UPDATE, DELETE, COPY
  const PGresult* raw() const { return result_.get(); }  // inside this module only

 private:
  std::shared_ptr<PGresult> result_;
};

class Connection {
 public:
  // `dsn` is a libpq connection string or URI. Sets application_name=domicile,
  // client_encoding=UTF8, and a connect timeout of 5 s unless the DSN has its own.
  static Result<Connection> open(const std::string& dsn);

  // One statement with parameters $1...
  Result<Rows> query(const std::string& sql, std::span<const Param> params = {});
  Result<Rows> query(const std::string& sql, std::initializer_list<Param> params) {
    return query(sql, std::span<const Param>(params.begin(), params.size()));
  }
  // One statement that this connection remembers, prepared at its first use. `name` stands for `sql` for good.
  Result<Rows> execute(const std::string& name, const std::string& sql,
                       std::span<const BoundValue> params);
  // Several statements in one string, without parameters: migrations. Stops at the first error.
  Result<void> script(const std::string& sql);

  // BEGIN, body, COMMIT; ROLLBACK when the body or COMMIT fails. `begin` may name an isolation
  // level.
  Result<void> transaction(const std::function<Result<void>()>& body,
                           const std::string& begin = "BEGIN");

  // COPY table FROM STDIN (text or csv as `sql` says) with whole chunks; Code::conflict etc. as
  // above.
  Result<std::int64_t> copy_in(const std::string& sql,
                               const std::function<std::optional<std::string>()>& next_chunk);
  // COPY ... TO STDOUT: each row's bytes. When `row` says false the server is told to stop, and the
  // result is an error (57014) that the caller knows the reason of.
  Result<void> copy_out(const std::string& sql, const std::function<bool(std::string_view)>& row);

  int server_version() const;  // e.g. 150018
  int backend_pid() const;
  bool in_transaction() const;
  // Server notices (RAISE NOTICE/WARNING) since the last call.
  std::vector<std::string> take_notices();

  std::string quote_identifier(std::string_view name) const;
  std::string quote_literal(std::string_view text) const;

 private:
  struct Closer {
    void operator()(PGconn* connection) const;
  };
  struct Notices {
    std::vector<std::string> lines;
  };
  Connection(PGconn* connection);
  Error last_error(std::string_view doing) const;
  std::unique_ptr<PGconn, Closer> connection_;
  std::unique_ptr<Notices> notices_;
  std::set<std::string> prepared_;
};

// "schema"."table" quoting without a connection.
std::string quote_identifier(std::string_view name);
// 'text' as a standard string literal (doubles quotes; refuses nothing; backslashes are plain).
std::string quote_literal(std::string_view text);
// {"a","b\"c"}: a list as one parameter of any array type.
std::string array_literal(std::span<const std::string> items);
// The DSN without its password, for messages.
std::string redact_dsn(const std::string& dsn);

}  // namespace domicile::pg
