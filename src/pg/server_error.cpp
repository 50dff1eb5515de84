#include "pg/server_error.h"

#include <string_view>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "pg/connection.h"

namespace domicile::pg {

std::string trimmed(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

namespace {

// libpq's own messages have several lines, with tabs.
std::string one_line(const char* text) {
  std::string out;
  for (const char c : trimmed(text)) {
    const bool space = c == '\n' || c == '\t' || c == ' ';
    if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : c;
  }
  return out;
}

Code code_of(std::string_view state) {
  if (state.empty()) return Code::unavailable;
  if (state == "42501") return Code::denied;
  if (state == "57014") return Code::timeout;
  if (state == "40001" || state == "40P01" || state == "55P03") return Code::conflict;
  if (state.starts_with("28")) return Code::unauthenticated;
  if (state.starts_with("23")) return Code::conflict;
  if (state.starts_with("08") || state.starts_with("53") || state.starts_with("57P"))
    return Code::unavailable;
  if (state.starts_with("42") || state.starts_with("22") || state.starts_with("3D"))
    return Code::invalid;
  return Code::internal;
}

}  // namespace

Error error_of(const PGresult* result, const PGconn* connection) {
  const auto field = [&](int which) { return trimmed(PQresultErrorField(result, which)); };
  std::string state = result == nullptr ? "" : field(PG_DIAG_SQLSTATE);
  std::string message = result == nullptr ? "" : field(PG_DIAG_MESSAGE_PRIMARY);
  if (message.empty()) message = one_line(PQerrorMessage(connection));
  if (result != nullptr) {
    if (auto detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty())
      message += " (" + detail + ")";
    if (auto hint = field(PG_DIAG_MESSAGE_HINT); !hint.empty()) message += "; hint: " + hint;
  }
  const Code code = code_of(state);
  return Error{code, std::move(message), std::move(state)};
}

Error connect_error(const PGconn* connection, const std::string& dsn) {
  const std::string message = trimmed(PQerrorMessage(connection));
  // libpq gives no SQLSTATE for a failed start; authentication failures are told by their text.
  const bool authentication = message.find("authentication failed") != std::string::npos ||
                              message.find("no password supplied") != std::string::npos ||
                              message.find("not permitted to log in") != std::string::npos;
  return Error{authentication ? Code::unauthenticated : Code::unavailable,
               fmt::format("cannot connect to the database at {}: {}", redact_dsn(dsn), message),
               {}};
}

}  // namespace domicile::pg
