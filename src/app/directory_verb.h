// What the verbs on the regional directory share (user, client, grant): how the database is named, who is
// changing something, where a password comes from, and how times are written. A password is never an
// argument: processes' arguments can be read by everybody.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "base/secret.h"
#include "store/directory_pg.h"

namespace domicile::app {

struct DirectoryOptions {
  std::string dsn_file;
  std::string dsn;
  std::string by;
  bool dry_run = false;
};

// --dsn-file, --dsn (else DOMICILE_DSN); for verbs that change something also --by and --dry-run.
enum class Verb { reads, changes };
void add_directory_options(CLI::App& verb, DirectoryOptions& options, Verb kind);

Result<std::unique_ptr<store::PgDirectory>> open_directory(const DirectoryOptions& options);
// --by, else the user of the operating system.
Result<store::PgDirectory::Administrator> administrator(const DirectoryOptions& options);

// `file` is a path, "-" for standard input, or empty: the terminal is asked twice, and what is no terminal is read.
Result<Secret> read_new_password(const std::string& file);
// The same, asked once.
Result<Secret> read_password(const std::string& file);

// "2026-12-31T23:59:59Z" -> Unix seconds, and back.
Result<std::int64_t> parse_utc(std::string_view text);
std::string utc(std::int64_t unix_seconds);
// "90s", "30m", "8h", "7d" -> seconds.
Result<std::int64_t> parse_duration(std::string_view text);

Result<std::vector<domain::RoleName>> parse_roles(const std::vector<std::string>& texts);
// Sorted, without duplicates.
Result<std::vector<domain::Permission>> parse_permissions(const std::vector<std::string>& texts);

// An opaque identifier: `prefix` and 16 random bytes.
std::string new_id(std::string_view prefix);

// The user that --id, or --org and --login, name.
struct WhichUser {
  std::string id, organization, login;
};
void add_which_user(CLI::App& verb, WhichUser& which);
Result<store::UserAccount> find_user(store::PgDirectory& directory, const WhichUser& which);

}  // namespace domicile::app
