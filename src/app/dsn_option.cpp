#include "app/dsn_option.h"

#include <cstdlib>

#include "base/file.h"
#include "base/secret.h"

namespace domicile::app {

Result<std::string> database_dsn(const std::string& dsn, const std::string& dsn_file) {
  if (!dsn.empty() && !dsn_file.empty())
    return fail(Code::invalid, "--dsn and --dsn-file are both given; keep one");
  if (!dsn.empty()) return dsn;
  if (!dsn_file.empty()) return std::string(TRY(read_secret_file(dsn_file)).reveal());
  if (const char* set = std::getenv("DOMICILE_DSN"); set != nullptr && *set != '\0')
    return std::string(set);
  return fail(Code::invalid,
              "no database is named; write --dsn-file PATH, --dsn postgresql://user@host/database, "
              "or set DOMICILE_DSN");
}

}  // namespace domicile::app
