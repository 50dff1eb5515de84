#include "store/reading_connection.h"

namespace domicile::store {
namespace {

constexpr std::string_view kOptions =
    "-c default_transaction_read_only=on -c idle_in_transaction_session_timeout=60000 "
    "-c lock_timeout=1000 -c statement_timeout=600000";

std::string with_options(const std::string& dsn) {
  const bool uri = dsn.starts_with("postgresql://") || dsn.starts_with("postgres://");
  if (!uri) return dsn + " options='" + std::string(kOptions) + "'";
  std::string encoded;
  for (char c : kOptions) {
    if (c == ' ')
      encoded += "%20";
    else if (c == '=')
      encoded += "%3D";
    else
      encoded.push_back(c);
  }
  return dsn + (dsn.find('?') == std::string::npos ? "?" : "&") + "options=" + encoded;
}

}  // namespace

Result<pg::Connection> open_for_reading(const std::string& dsn) {
  // Options of one's own (a search path, a role) are kept.
  if (dsn.find("options=") != std::string::npos || dsn.find_first_of("=:") == std::string::npos)
    return pg::Connection::open(dsn);
  auto connection = pg::Connection::open(with_options(dsn));
  const bool refused =
      !connection && connection.error().message.find("startup parameter") != std::string::npos;
  return refused ? pg::Connection::open(dsn) : std::move(connection);
}

}  // namespace domicile::store
