// The other half of store/dump.h.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
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

Result<void> load_rows(pg::Connection& connection, const std::filesystem::path& folder,
                       const DumpedTable& table) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen((folder / table.file).c_str(), "re"),
                                                   fclose);
  if (!file) return fail(Code::invalid, fmt::format("{} is not there", table.file));
  std::string buffer(1u << 18, '\0');
  const auto next = [&]() -> std::optional<std::string> {
    const auto n = fread(buffer.data(), 1, buffer.size(), file.get());
    if (n == 0) return std::nullopt;
    return buffer.substr(0, n);
  };
  const std::string columns =
      table.columns.empty() ? "" : fmt::format(" ({})", quoted_columns(table));
  const auto loaded = TRY(
      connection.copy_in(fmt::format("COPY {}{} FROM STDIN", quoted(table.name), columns), next));
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
  return connection.script("RESET ROLE");
}

Result<void> set_sequences(pg::Connection& connection, const DumpManifest& manifest) {
  for (const auto& sequence : manifest.sequences) {
    auto there = TRY(
        connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {quoted(sequence.name)}));
    if (!there.boolean(0, 0)) continue;
    TRY(connection.query(
        "SELECT pg_catalog.setval($1::regclass, $2::bigint, $3::bool)",
        {quoted(sequence.name), sequence.last_value, sequence.is_called ? "true" : "false"}));
  }
  return {};
}

Result<std::vector<CountDifference>> differences(pg::Connection& connection,
                                                 const DumpManifest& manifest, bool guard_too) {
  std::vector<CountDifference> out;
  for (const DumpedTable& wanted : manifest.tables) {
    if (wanted.of_guard && (!guard_too || wanted.name.schema == "domicile")) continue;
    DumpedTable found = wanted;
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
  TRY(connection.script(TRY(read_file(options.folder / "pre-data.sql", 1u << 30))));
  for (const auto& table : manifest.tables) {
    if (table.of_guard) continue;
    say(fmt::format("{}: {} rows", to_string(table.name), table.rows));
    auto loaded = load_rows(connection, options.folder, table);
    if (!loaded) return std::unexpected(std::move(loaded).error().within(to_string(table.name)));
  }
  say("keys and indexes");
  TRY(connection.script(TRY(read_file(options.folder / "post-data.sql", 1u << 30))));
  TRY(load_guard_rows(connection, options, manifest));
  TRY(set_sequences(connection, manifest));
  TRY(become_reader(connection, manifest.tables));
  const auto different = TRY(differences(connection, manifest, true));
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
  TRY(connection.script("RESET ROLE"));
  // become_reader() gave domicile_owner the right to read; the guard gives it the keys' columns only.
  for (const auto& table : manifest.tables) {
    if (table.of_guard) continue;
    TRY(connection.script(
        fmt::format("REVOKE SELECT ON {} FROM domicile_owner", quoted(table.name))));
  }
  return {};
}

}  // namespace

Result<DumpManifest> restore_region(const RestoreOptions& options) {
  auto manifest = TRY(verify_dump(options.folder));
  const auto key_type = TRY(domain::parse_key_type(manifest.key_type));
  auto connection = TRY(pg::Connection::open(options.dsn));
  TRY(check_target(connection, manifest));
  InstallOptions install;
  install.region =
      TRY(domain::parse_region_id(options.region.empty() ? manifest.region : options.region));
  install.master = options.master;
  install.allow_old_server = options.allow_old_server;
  install.keep_temporary = true;  // `region init` with the catalog decides
  install.apply.dry_run = options.dry_run;
  install.apply.progress = options.progress;
  catalog::Catalog empty;
  empty.key_type = key_type;
  TRY(install_region(connection, empty, install));
  if (options.dry_run) return manifest;
  TRY(connection.query("SELECT domicile.close_region($1)",
                       {fmt::format("restored from a dump of {}", manifest.made_at)}));
  TRY(connection.transaction([&] { return load_all(connection, options, manifest); }));
  return manifest;
}

Result<std::vector<CountDifference>> compare_counts(pg::Connection& connection,
                                                    const DumpManifest& manifest) {
  TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  std::vector<CountDifference> out;
  const auto work = [&]() -> Result<void> {
    TRY(become_reader(connection, manifest.tables));
    out = TRY(differences(connection, manifest, true));
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
