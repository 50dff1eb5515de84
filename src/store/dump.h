// A dump of a guarded region that counts what it takes. pg_dump as the tables' owner fails under
// forced row security, or takes nothing and says nothing; here every table is read in one snapshot,
// through the guard's own policy for domicile_owner, by rights that this transaction gives itself and
// takes back, so that nobody else ever has them. The reader is the region's installer (a member of
// domicile_owner and of the tables' owners) or a superuser; it reads and changes nothing.
//
// The folder (mode 0700, files 0600; see dump_folder.h): manifest.json, pre-data.sql, post-data.sql (pg_dump's, without
// the guard: see dump_schema.h), data/*.copy in PostgreSQL's text format. Left out unless asked for:
// keys and sessions. Never in it: large objects, roles, other databases.
//
// A restore goes into an empty database of a server that is no other region: guard first, closed; then
// schema, rows and keys in one transaction, every file's hash and every count held against the
// manifest. The region stays closed until `region init` has applied the catalog and `region reconcile`
// has compared it with the registry.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "pg/connection.h"
#include "store/dump_manifest.h"

namespace domicile::store {

using DumpProgress = std::function<void(const std::string&)>;

struct DumpOptions {
  std::string dsn;
  std::filesystem::path folder;      // must not exist, or be empty
  std::vector<std::string> tables;   // schema.table; empty: all
  std::vector<std::string> schemas;  // empty: all
  bool secrets = false;              // signing keys, context keys, sessions
  bool dry_run = false;              // says what would be taken, writes nothing
  std::string pg_dump = "pg_dump";
  DumpProgress progress;
};

// Code::invalid for a folder in use or a name that is not there; Code::denied when a table cannot be
// read whole (reason "closed_tables", or a SQLSTATE).
Result<DumpManifest> dump_region(const DumpOptions& options);

// Reads the manifest and holds every file's hash against it. Code::conflict when they differ.
// `manifest_sha256`, when given, is the manifest's own: what somebody kept elsewhere.
Result<DumpManifest> verify_dump(const std::filesystem::path& folder,
                                 const std::string& manifest_sha256 = "");

struct RestoreOptions {
  std::string dsn;
  std::filesystem::path folder;
  std::string manifest_sha256;  // "": whatever it is
  std::string region;           // "" as in the manifest; a database is one region for life
  bool master = false;
  bool allow_old_server = false;
  bool dry_run = false;
  DumpProgress progress;
};

struct Restored {
  DumpManifest manifest;
  std::string since;  // an earlier run put this dump into this database, at that time; else ""
};

// Code::invalid when the database is not empty or a role is missing; Code::conflict when rows differ
// from the manifest: then nothing of the dump is in the database.
Result<Restored> restore_region(const RestoreOptions& options);

// Counts again in a restored (or any) region, through the guard. Empty: all as the manifest says.
struct CountDifference {
  std::string table;
  std::string organization;  // "" for the whole table
  std::int64_t wanted = 0;
  std::int64_t found = 0;
};
Result<std::vector<CountDifference>> compare_counts(pg::Connection& connection,
                                                    const DumpManifest& manifest);

// The directory's checks, which the restore added NOT VALID because nobody was homed; after reconcile.
Result<std::size_t> validate_directory(pg::Connection& connection);

}  // namespace domicile::store
