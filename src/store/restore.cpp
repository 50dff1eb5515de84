// The other half of store/dump.h.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/sha256.h"
#include "store/dump.h"
#include "store/dump_read.h"
#include "store/guard_sql.h"
#include "store/region_install.h"

namespace domicile::store {
namespace {

Result<void> check_target(pg::Connection& connection, const DumpManifest& manifest) {
  auto full = TRY(connection.query(
      "SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ') FROM "
      "(SELECT * FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')) c JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ "
      "'^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM "
      "pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND "
      "d.deptype = 'e')"));
  if (!full.null(0, 0)) {
    return fail(
        Code::invalid,
        fmt::format("the database is not empty ({:.200}); restore into a new one", full.text(0, 0)),
        "not_empty");
  }
  std::vector<std::string> missing;
  for (const auto& role : manifest.roles) {
    auto found = TRY(connection.query(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", {role}));
    if (!found.boolean(0, 0)) missing.push_back(role);
  }
  if (missing.empty()) return {};
  return fail(Code::invalid,
              fmt::format("roles that the schema names are missing: {}; create them (CREATE ROLE "
                          "... NOLOGIN), and make this login a member of the owners among them",
                          fmt::join(missing, ", ")),
              "role_missing");
}

std::unexpected<Error> changed_meanwhile(const std::filesystem::path& path) {
  return fail(Code::conflict,
              fmt::format("{} is not as the manifest says: it was changed during the restore; "
                          "nothing of the dump is in the database",
                          path.string()),
              "dump_changed");
}

Result<std::string> read_schema_file(const std::filesystem::path& path,
                                     const std::string& wanted_sha256) {
  auto text = TRY(read_file(path, 1u << 30));
  if (crypto::sha256_hex(text) != wanted_sha256) return changed_meanwhile(path);
  return text;
}

Result<void> load_rows(pg::Connection& connection, const std::filesystem::path& folder,
                       const DumpedTable& table) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen((folder / table.file).c_str(), "re"),
                                                   fclose);
  if (!file) return fail(Code::invalid, fmt::format("{} is not there", table.file));
  std::string buffer(1u << 18, '\0');
  crypto::Sha256 hash;  // of what is loaded: the file may have changed since it was looked at
  const auto next = [&]() -> std::optional<std::string> {
    const auto n = fread(buffer.data(), 1, buffer.size(), file.get());
    if (n == 0) return std::nullopt;
    hash.update(std::string_view(buffer).substr(0, n));
    return buffer.substr(0, n);
  };
  const std::string columns =
      table.columns.empty() ? "" : fmt::format(" ({})", quoted_columns(table));
  auto copied =
      connection.copy_in(fmt::format("COPY {}{} FROM STDIN", quoted(table.name), columns), next);
  const bool lost = !copied && copied.error().code == Code::unavailable;
  while (!copied && !lost && next()) {  // a row that is refused may be one that was changed
  }
  if (!lost && (ferror(file.get()) != 0 || to_hex(crypto::view(hash.finish())) != table.sha256))
    return changed_meanwhile(folder / table.file);
  const auto loaded = TRY(std::move(copied));
  if (loaded != table.rows) {
    return fail(Code::conflict,
                fmt::format("{} rows were loaded, the manifest says {}", loaded, table.rows),
                "dump_changed");
  }
  return {};
}

// Domicile's own tables ask homed() in their CHECKs, and nobody is homed yet: the checks come back NOT
// VALID, hold for every new row, and are validated after reconcile.
Result<void> load_guard_rows(pg::Connection& connection, const RestoreOptions& options,
                             const DumpManifest& manifest) {
  TRY(connection.script("SET LOCAL ROLE domicile_owner"));
  auto checks = TRY(connection.query(
      "SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', x.conrelid::regclass, "
      "x.conname), "
      "pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', x.conrelid::regclass, "
      "x.conname, pg_catalog.replace(pg_catalog.pg_get_constraintdef(x.oid), ' NOT VALID', '')) "
      "FROM "
      "pg_catalog.pg_constraint x WHERE x.contype = 'c' AND x.connamespace = "
      "pg_catalog.to_regnamespace('domicile_directory') AND pg_catalog.pg_get_constraintdef(x.oid) "
      "~ 'domicile\\.homed\\('"));
  for (int i = 0; i < checks.size(); ++i) TRY(connection.script(std::string(checks.text(i, 0))));
  for (const auto& table : manifest.tables) {
    if (!table.of_guard) continue;
    TRY(connection.script("DELETE FROM " + quoted(table.name)));
    auto loaded = load_rows(connection, options.folder, table);
    if (!loaded) return std::unexpected(std::move(loaded).error().within(to_string(table.name)));
  }
  for (int i = 0; i < checks.size(); ++i) TRY(connection.script(std::string(checks.text(i, 1))));
  // Known, with the epochs they had, and homed by nobody's word but the registry's.
  TRY(
      connection.script("UPDATE domicile.organization SET state = 'fenced', previous_epoch = NULL, "
                        "previous_state = NULL WHERE state <> 'fenced'"));
  TRY(connection.query("SELECT domicile_private.end_foreign_windows($1)", {manifest.made_at}));
  TRY(connection.query(
      "INSERT INTO domicile.restored (into_database, manifest_sha256, made_at, region, "
      "database_id, system_identifier) SELECT r.database_id, $1, $2, $3, $4, $5 FROM "
      "domicile.region r",
      {manifest.sha256, manifest.made_at, manifest.region, manifest.database_id,
       manifest.system_identifier}));
  return connection.script("RESET ROLE");
}

Result<void> set_sequences(pg::Connection& connection, const DumpManifest& manifest) {
  for (const auto& sequence : manifest.sequences) {
    auto there = TRY(
        connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {quoted(sequence.name)}));
    if (!there.boolean(0, 0)) continue;
    const std::string name = quoted(sequence.name);
    if (!sequence.name.schema.starts_with("domicile")) {
      TRY(connection.query("SELECT pg_catalog.setval($1::regclass, $2::bigint, $3::bool)",
                           {name, sequence.last_value, sequence.is_called ? "true" : "false"}));
      continue;
    }
    // The restore itself was recorded meanwhile, under numbers that are used as well.
    TRY(connection.script("SET LOCAL ROLE domicile_owner"));
    TRY(
        connection.query("SELECT pg_catalog.setval($1::regclass, greatest($2::bigint, "
                         "(SELECT s.last_value FROM " +
                             name + " s)))",
                         {name, sequence.last_value}));
    TRY(connection.script("RESET ROLE"));
  }
  return {};
}

Result<std::vector<CountDifference>> differences(pg::Connection& connection,
                                                 const DumpManifest& manifest) {
  std::vector<CountDifference> out;
  const Reader reader = TRY(become_reader(connection, manifest.tables));
  for (const DumpedTable& wanted : manifest.tables) {
    if (wanted.of_guard && (wanted.name.schema == "domicile" || is_outbox(wanted.name))) {
      continue;  // they go on
    }
    DumpedTable found = wanted;
    TRY(read_as(connection, reader, wanted));
    TRY(count_rows(connection, found));
    const std::string table = to_string(wanted.name);
    if (found.rows != wanted.rows) out.push_back({table, "", wanted.rows, found.rows});
    for (const auto& [organization, rows] : wanted.organizations) {
      const auto now = found.organizations[organization];
      if (now != rows)
        out.push_back({table, organization.empty() ? "NULL" : organization, rows, now});
    }
    for (const auto& [organization, rows] : found.organizations) {
      if (rows != 0 && !wanted.organizations.contains(organization))
        out.push_back({table, organization.empty() ? "NULL" : organization, 0, rows});
    }
  }
  return out;
}

Result<void> load_all(pg::Connection& connection, const RestoreOptions& options,
                      const DumpManifest& manifest) {
  const auto say = [&](const std::string& line) {
    if (options.progress) options.progress(line);
  };
  TRY(connection.script("SELECT domicile_private.begin_upgrade()"));
  say("the schema");
  TRY(connection.script(
      TRY(read_schema_file(options.folder / "pre-data.sql", manifest.pre_data_sha256))));
  for (const auto& table : manifest.tables) {
    if (table.of_guard) continue;
    say(fmt::format("{}: {} rows", to_string(table.name), table.rows));
    auto loaded = load_rows(connection, options.folder, table);
    if (!loaded) return std::unexpected(std::move(loaded).error().within(to_string(table.name)));
  }
  say("keys and indexes");
  TRY(connection.script(
      TRY(read_schema_file(options.folder / "post-data.sql", manifest.post_data_sha256))));
  TRY(load_guard_rows(connection, options, manifest));
  TRY(set_sequences(connection, manifest));
  const auto different = TRY(differences(connection, manifest));
  if (!different.empty()) {
    const auto& first = different[0];
    return fail(
        Code::conflict,
        fmt::format("{} counts differ from the manifest; {}{}: {} rows, {} wanted",
                    different.size(), first.table,
                    first.organization.empty() ? "" : ", organization " + first.organization,
                    first.found, first.wanted),
        "counts_differ");
  }
  return connection.script("RESET ROLE");
}

// An earlier run may have been cut off after its commit.
Result<std::string> restored_since(pg::Connection& connection, const DumpManifest& manifest) {
  auto there =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile.restored') IS NOT NULL"));
  if (!there.boolean(0, 0)) return std::string();
  auto rows = TRY(connection.query(
      "SELECT pg_catalog.to_char(max(d.restored_at) AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM domicile.restored d JOIN domicile.region r ON "
      "r.database_id = d.into_database WHERE d.manifest_sha256 = $1",
      {manifest.sha256}));
  return std::string(rows.text(0, 0));
}

Result<void> install_guard(pg::Connection& connection, const RestoreOptions& options,
                           const DumpManifest& manifest) {
  InstallOptions install;
  install.region =
      TRY(domain::parse_region_id(options.region.empty() ? manifest.region : options.region));
  install.master = options.master;
  install.allow_old_server = options.allow_old_server;
  install.keep_temporary = true;  // `region init` with the catalog decides
  install.apply.dry_run = options.dry_run;
  install.apply.progress = options.progress;
  catalog::Catalog empty;
  empty.key_type = TRY(domain::parse_key_type(manifest.key_type));
  TRY(install_region(connection, empty, install));
  return {};
}

}  // namespace

Result<Restored> restore_region(const RestoreOptions& options) {
  Restored restored{.manifest = TRY(verify_dump(options.folder, options.manifest_sha256)),
                    .since = {}};
  const DumpManifest& manifest = restored.manifest;
  const auto work = [&]() -> Result<void> {
    auto connection = TRY(pg::Connection::open(options.dsn));
    restored.since = TRY(restored_since(connection, manifest));
    if (!restored.since.empty()) return {};
    TRY(check_target(connection, manifest));
    TRY(install_guard(connection, options, manifest));
    if (options.dry_run) return {};
    TRY(connection.query("SELECT domicile.close_region($1)",
                         {fmt::format("restored from a dump of {}", manifest.made_at)}));
    return connection.transaction([&] { return load_all(connection, options, manifest); });
  };
  auto done = work();
  if (!done) {
    if (done.error().code == Code::unavailable)
      done.error().message +=
          "; the dump is in the database whole, or not at all: run the same "
          "command again, and it says which or goes on";
    return std::unexpected(std::move(done).error());
  }
  return restored;
}

Result<std::vector<CountDifference>> compare_counts(pg::Connection& connection,
                                                    const DumpManifest& manifest) {
  TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  std::vector<CountDifference> out;
  const auto work = [&]() -> Result<void> {
    out = TRY(differences(connection, manifest));
    return {};
  };
  auto done = work();
  (void)connection.script("ROLLBACK");
  TRY(std::move(done));
  return out;
}

Result<std::size_t> validate_directory(pg::Connection& connection) {
  auto checks = TRY(connection.query(
      "SELECT pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', x.conrelid::regclass, "
      "x.conname) FROM pg_catalog.pg_constraint x WHERE x.contype = 'c' AND NOT x.convalidated AND "
      "x.connamespace = pg_catalog.to_regnamespace('domicile_directory')"));
  for (int i = 0; i < checks.size(); ++i) TRY(connection.script(std::string(checks.text(i, 0))));
  return static_cast<std::size_t>(checks.size());
}

}  // namespace domicile::store
