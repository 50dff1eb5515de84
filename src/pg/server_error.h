// What libpq and the server say when something fails, as an Error (the mapping of SQLSTATEs to codes stands in
// connection.h). Inside this module only.
#pragma once

#include <string>

#include "base/result.h"

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;

namespace domicile::pg {

std::string trimmed(const char* text);  // without blanks and newlines at its end; "" for null
// `result` may be null: then the connection's own message counts.
Error error_of(const PGresult* result, const PGconn* connection);
// Why a connection could not be opened. Code::unauthenticated when the login was refused.
Error connect_error(const PGconn* connection, const std::string& dsn);

}  // namespace domicile::pg
