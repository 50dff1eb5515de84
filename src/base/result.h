// Errors as values. A function that can fail returns Result<T>; the caller handles it or passes it
// on with TRY(). Exceptions are for bugs and start-up only, and are caught at a thread's edge.
//
// An Error carries a code for the program, a stable `reason` for machines (problem+json reason, or
// a SQLSTATE for database errors), and a message for the operator: place, cause and remedy. Clients
// of a door never see the message, only the code's fixed text. Messages never hold secrets.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace domicile {

enum class Code {
  invalid,          // the input is wrong: fix it and try again
  unauthenticated,  // nobody proved who is asking
  denied,           // known, but not allowed
  not_found,
  conflict,      // a newer value, or a duplicate, is in the way
  wrong_region,  // the organization's home is elsewhere
  unavailable,   // try later
  timeout,
  internal,  // our own bug, or a broken dependency
};

std::string_view to_string(Code code);

struct [[nodiscard]] Error {
  Code code = Code::internal;
  std::string message;  // for the operator: place, cause, remedy
  std::string reason;   // stable and machine-readable, e.g. "organization_mismatch", or a SQLSTATE

  // The same error with the place in front: "reading a.toml: line 3: ..."
  Error within(std::string_view place) &&;
  Error within(std::string_view place) const&;
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message, std::string reason = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(reason)});
}

}  // namespace domicile

// The value of a Result, or return its error from the enclosing function.
//   auto row = TRY(connection.query(...));
#define TRY(expression) DOMICILE_TRY_(expression, __COUNTER__)
#define DOMICILE_TRY_(expression, unique) DOMICILE_TRY_AS_(expression, unique)
#define DOMICILE_TRY_AS_(expression, unique)                                    \
  ({                                                                            \
    auto&& try_##unique = (expression);                                         \
    if (!try_##unique) return std::unexpected(std::move(try_##unique).error()); \
    domicile::detail::take(std::move(try_##unique));                            \
  })

namespace domicile::detail {
template <typename T>
T take(std::expected<T, Error>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace domicile::detail
