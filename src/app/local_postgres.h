// The PostgreSQL server of one local region: a cluster of its own below the data folder, on a
// loopback port and a private socket, never the distribution's. Its superuser signs in over the
// socket only, everybody else by SCRAM over TCP. PostgreSQL is durable here as everywhere: fsync is
// on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "app/local_process.h"
#include "app/local_state.h"
#include "app/local_supervisor.h"
#include "base/result.h"
#include "base/secret.h"

namespace domicile::app {

// The newest installed server's programs, at least version 15; the error names the package to
// install.
Result<std::filesystem::path> find_postgresql();

class LocalPostgres {
 public:
  LocalPostgres(const LocalPaths& paths, std::string region, std::filesystem::path programs,
                Account account, std::uint16_t port);

  bool created() const;
  // initdb into a folder beside, then renamed: it exists whole or not at all.
  Result<void> create(Signals& signals) const;
  // Writes its configuration; before every start, because the port may have changed. `publisher` reads
  // the log of `database`.
  Result<void> configure(const std::string& database, const std::string& publisher) const;
  Service service() const;

  // A libpq connection string without a password: it names the role's password file.
  std::string dsn(const std::string& database, const std::string& role) const;
  // Over the socket, as superuser.
  std::string superuser_dsn(const std::string& database) const;
  std::uint16_t port() const { return port_; }

 private:
  std::filesystem::path cluster() const { return paths_.region(region_) / "postgresql"; }
  void clear_stale_lock() const;

  LocalPaths paths_;
  std::string region_;
  std::filesystem::path programs_;
  Account account_;
  std::uint16_t port_;
  std::filesystem::path socket_folder_;
};

// The file libpq reads a password from; makes a random one at the first call. Readable by `owner`
// only.
Result<std::filesystem::path> password_file(const LocalPaths& paths, const std::string& region,
                                            const std::string& role, const Account& owner);
Result<Secret> password_of(const LocalPaths& paths, const std::string& region,
                           const std::string& role);
std::string quote_dsn_value(std::string_view text);

}  // namespace domicile::app
