#include "store/dump.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/sha256.h"
#include "store/dump_folder.h"
#include "store/dump_read.h"
#include "store/dump_schema.h"

namespace domicile::store {
namespace {

namespace fs = std::filesystem;

Result<DumpManifest> begin_manifest(pg::Connection& connection) {
  auto there =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile.region') IS NOT NULL"));
  if (!there.boolean(0, 0)) {
    return fail(Code::invalid, "this database is no region: use pg_dump", "not_a_region");
  }
  auto rows = TRY(connection.query(
      "SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', "
      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
      "pg_catalog.current_database(), region, key_type, database_id, system_identifier, "
      "coalesce(timeline, '') FROM domicile.region"));
  if (rows.size() == 0)
    return fail(Code::invalid, "the region is not installed whole: run `domicile region init`");
  return DumpManifest{.made_at = std::string(rows.text(0, 0)),
                      .database = std::string(rows.text(0, 1)),
                      .region = std::string(rows.text(0, 2)),
                      .key_type = std::string(rows.text(0, 3)),
                      .database_id = std::string(rows.text(0, 4)),
                      .system_identifier = std::string(rows.text(0, 5)),
                      .timeline = std::string(rows.text(0, 6)),
                      .server_version = connection.server_version(),
                      .pre_data_sha256 = {},
                      .post_data_sha256 = {},
                      .roles = {},
                      .left_out = {},
                      .tables = {},
                      .sequences = {},
                      .sha256 = {}};
}

Result<void> read_sequences(pg::Connection& connection, const DumpOptions& options,
                            DumpManifest& manifest) {
  auto names = TRY(connection.query(
      "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
      "n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence = 'p' AND (n.nspname !~ "
      "'^(pg_|domicile(_|$))' OR n.nspname IN ('domicile', 'domicile_directory')) AND n.nspname <> "
      "'information_schema' ORDER BY 1, 2"));
  for (int i = 0; i < names.size(); ++i) {
    DumpedSequence sequence{.name = {std::string(names.text(i, 0)), std::string(names.text(i, 1))}};
    const bool part = !options.tables.empty() || !options.schemas.empty();
    if (part && std::ranges::find(options.schemas, sequence.name.schema) == options.schemas.end())
      continue;
    auto value = TRY(connection.query(fmt::format("SELECT last_value, is_called FROM {}.{}",
                                                  pg::quote_identifier(sequence.name.schema),
                                                  pg::quote_identifier(sequence.name.name))));
    sequence.last_value = value.text(0, 0);
    sequence.is_called = value.boolean(0, 1);
    manifest.sequences.push_back(std::move(sequence));
  }
  return {};
}

Result<void> write_schema(pg::Connection& connection, const DumpOptions& options,
                          DumpFolder& folder, DumpManifest& manifest) {
  auto snapshot = TRY(connection.query("SELECT pg_catalog.pg_export_snapshot()"));
  const PgDumpOptions dumping{.program = options.pg_dump,
                              .dsn = options.dsn,
                              .snapshot = std::string(snapshot.text(0, 0)),
                              .schemas = options.schemas,
                              .tables = options.tables};
  const FormerRowSecurity former = TRY(former_row_security(connection));
  std::vector<std::string> roles;
  for (const char* section : {"pre-data", "post-data"}) {
    const auto bare = TRY(without_guard(TRY(run_pg_dump(dumping, section)), former));
    roles.insert(roles.end(), bare.roles.begin(), bare.roles.end());
    TRY(folder.write(fmt::format("{}.sql", section), bare.sql));
    (section == std::string_view("pre-data") ? manifest.pre_data_sha256
                                             : manifest.post_data_sha256) =
        crypto::sha256_hex(bare.sql);
  }
  std::ranges::sort(roles);
  roles.erase(std::unique(roles.begin(), roles.end()), roles.end());
  manifest.roles = std::move(roles);
  return {};
}

Result<void> write_rows(pg::Connection& connection, const DumpOptions& options,
                        DumpedTable& table) {
  auto file = TRY(RowFile::create(options.folder / table.file));
  std::int64_t copied = 0;
  auto read = connection.copy_out(fmt::format("COPY ({}) TO STDOUT", source_of(table)),
                                  [&](std::string_view row) {
                                    ++copied;
                                    return file.write(row);
                                  });
  auto hash = file.close();
  if (!hash) return std::unexpected(std::move(hash).error());  // why the reading stopped, if it did
  TRY(std::move(read));
  table.sha256 = std::move(*hash);
  TRY(count_rows(connection, table));
  if (copied != table.rows) {
    return fail(Code::internal, fmt::format("{}: {} rows were copied, {} were counted",
                                            to_string(table.name), copied, table.rows));
  }
  if (options.progress)
    options.progress(fmt::format("{}: {} rows", to_string(table.name), table.rows));
  return {};
}

Result<DumpManifest> take(const DumpOptions& options) {
  auto connection = TRY(pg::Connection::open(options.dsn));
  DumpManifest manifest = TRY(begin_manifest(connection));
  DumpPlan plan = TRY(plan_dump(connection, options.schemas, options.tables, options.secrets));
  manifest.left_out = std::move(plan.left_out);
  manifest.tables = std::move(plan.tables);
  std::optional<DumpFolder> folder;
  if (!options.dry_run) {
    folder.emplace(TRY(DumpFolder::create(options.folder)));
    if (folder->took_over() && options.progress)
      options.progress("an interrupted run left an unfinished dump here: begun anew");
  }
  // Rolled back at its end: it grants itself the right to read, and nobody else ever sees that.
  TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  const auto work = [&]() -> Result<void> {
    TRY(connection.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'"));
    if (folder) TRY(write_schema(connection, options, *folder, manifest));
    TRY(read_sequences(connection, options, manifest));
    const Reader reader = TRY(become_reader(connection, manifest.tables));
    for (DumpedTable& table : manifest.tables) {
      TRY(read_as(connection, reader, table));
      auto done =
          options.dry_run ? count_rows(connection, table) : write_rows(connection, options, table);
      if (!done) return std::unexpected(std::move(done).error().within(to_string(table.name)));
    }
    return {};
  };
  auto done = work();
  (void)connection.script("ROLLBACK");
  TRY(std::move(done));
  if (folder) TRY(folder->finish(to_json(manifest)));
  return manifest;
}

}  // namespace

Result<DumpManifest> dump_region(const DumpOptions& options) {
  auto taken = take(options);
  if (!taken && taken.error().code == Code::unavailable && taken.error().reason != "not_written")
    taken.error().message += "; the region is as it was: run the same command again";
  return taken;
}

Result<DumpManifest> verify_dump(const fs::path& folder, const std::string& manifest_sha256) {
  const fs::path file = folder / "manifest.json";
  const auto text = read_file(file, 1u << 30);
  if (!text) {
    std::error_code ignored;
    return fail(Code::invalid,
                fs::exists(folder / "unfinished", ignored)
                    ? fmt::format("{} is an unfinished dump: domicile dump was interrupted; run it "
                                  "again",
                                  folder.string())
                    : text.error().message + "; name the folder of a whole dump",
                "dump_manifest");
  }
  auto parsed = parse_dump_manifest(*text);
  if (!parsed) return std::unexpected(std::move(parsed).error().within(file.string()));
  DumpManifest manifest = std::move(*parsed);
  manifest.sha256 = crypto::sha256_hex(*text);
  if (!manifest_sha256.empty() && manifest.sha256 != manifest_sha256) {
    return fail(Code::conflict,
                fmt::format("{} has the hash {}, not {}: it is another dump's, or was changed; "
                            "nothing was done",
                            file.string(), manifest.sha256, manifest_sha256),
                "dump_changed");
  }
  const auto hold = [&](const std::string& name, const std::string& wanted) -> Result<void> {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen((folder / name).c_str(), "re"), fclose);
    if (!file) {
      return fail(Code::conflict,
                  fmt::format("{} is not there: the dump is not whole; take another copy of it",
                              (folder / name).string()),
                  "dump_changed");
    }
    crypto::Sha256 hash;
    std::string buffer(1u << 20, '\0');
    for (std::size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), file.get())) > 0;)
      hash.update(std::string_view(buffer).substr(0, n));
    if (ferror(file.get()) != 0 || to_hex(crypto::view(hash.finish())) != wanted) {
      return fail(Code::conflict,
                  fmt::format("{} is not as the manifest says: it was changed or cut short; take "
                              "another copy of the dump",
                              (folder / name).string()),
                  "dump_changed");
    }
    return {};
  };
  TRY(hold("pre-data.sql", manifest.pre_data_sha256));
  TRY(hold("post-data.sql", manifest.post_data_sha256));
  for (const auto& table : manifest.tables) TRY(hold(table.file, table.sha256));
  return manifest;
}

}  // namespace domicile::store
