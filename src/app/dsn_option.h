// Which database a command talks to: --dsn, --dsn-file or DOMICILE_DSN, in this order. A password
// belongs in the file or the environment: arguments are visible to every user of the machine.
#pragma once

#include <string>

#include "base/result.h"

namespace domicile::app {

// The connection string; Code::invalid when both flags are given, or none and no DOMICILE_DSN.
Result<std::string> database_dsn(const std::string& dsn, const std::string& dsn_file);

}  // namespace domicile::app
