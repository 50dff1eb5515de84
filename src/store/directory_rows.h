// Between the directory's rows and values. For this folder's .cpp files.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/encoding.h"
#include "pg/connection.h"
#include "store/sign_ins.h"

namespace domicile::store {

// Any number of nodes may renew keys, and an operator rotate them; one at a time.
inline constexpr const char* kLockSigningKeys =
    "SELECT pg_advisory_xact_lock(hashtextextended('domicile.signing_key', 0))";

// Names of this schema never hold a space, so lists travel as text: string_to_array($1, ' ').
template <typename T>
std::string joined(std::span<const T> values) {
  std::string out;
  for (const auto& value : values) {
    if (!out.empty()) out.push_back(' ');
    out += value.text();
  }
  return out;
}

template <typename T>
std::vector<T> split(std::string_view text) {
  std::vector<T> out;
  while (!text.empty()) {
    const auto end = text.find(' ');
    out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

inline std::string bytea(std::string_view bytes) { return "\\x" + to_hex(bytes); }
inline std::string number(std::int64_t value) { return fmt::format("{}", value); }

// SELECT ... FROM of people and clients, and what one of their rows means.
extern const char* const kUser;
extern const char* const kClient;
UserAccount user_of(const pg::Rows& rows, int row);
ClientAccount client_of(const pg::Rows& rows, int row);

// Within a transaction.
Result<void> insert_family(pg::Connection& connection, const RefreshFamily& family,
                           const RefreshToken& first);
Result<void> add_revocation(pg::Connection& connection, const Revocation& revocation);

// Without the row that PostgreSQL quotes.
Error without_row(Error error);

}  // namespace domicile::store
