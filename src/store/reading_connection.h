// A connection that only reads, for people who point us at a production database. The session starts
// with default_transaction_read_only=on and with timeouts, as startup options; a pooler that refuses
// startup options (PgBouncer before 1.20) gets a plain connection instead. Either way every
// transaction that reads says BEGIN READ ONLY and sets its own timeouts: a pooler's session belongs
// to nobody.
#pragma once

#include <string>

#include "pg/connection.h"

namespace domicile::store {

Result<pg::Connection> open_for_reading(const std::string& dsn);

}  // namespace domicile::store
