#include "store/dump.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/sha256.h"
#include "store/dump_read.h"
#include "store/dump_schema.h"

namespace domicile::store {
namespace {

namespace fs = std::filesystem;

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error)) {
    return fail(Code::invalid, fmt::format("{} is not empty; name a folder that is not there yet",
                                           folder.string()));
  }
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (!error) fs::create_directory(folder / "data", error);
  if (!error) fs::permissions(folder / "data", fs::perms::owner_all, error);
  if (error)
    return fail(Code::unavailable, fmt::format("{}: {}", folder.string(), error.message()));
  return {};
}

// A file of rows, hashed as it is written; on disk when close() has said so.
class RowFile {
 public:
  static Result<RowFile> create(const fs::path& path) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Code::unavailable, fmt::format("cannot write {}", path.string()));
    return RowFile(fdopen(fd, "w"));
  }
  void write(std::string_view row) {
    hash_->update(row);
    failed_ = failed_ || fwrite(row.data(), 1, row.size(), file_.get()) != row.size();
  }
  Result<std::string> close() {  // the hash
    failed_ = fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0 || failed_;
    file_.reset();
    if (failed_) return fail(Code::unavailable, "the dump's disk is full or gone");
    return to_hex(crypto::view(hash_->finish()));
  }

 private:
  struct Close {
    void operator()(FILE* file) const { fclose(file); }
  };
  explicit RowFile(FILE* file) : file_(file), hash_(std::make_unique<crypto::Sha256>()) {}
  std::unique_ptr<FILE, Close> file_;
  std::unique_ptr<crypto::Sha256> hash_;
  bool failed_ = false;
};

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
                      .sequences = {}};
}

Result<void> read_sequences(pg::Connection& connection, const DumpOptions& options,
                            DumpManifest& manifest) {
  auto names = TRY(connection.query(
      "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
      "n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence = 'p' AND (n.nspname !~ "
      "'^(pg_|domicile(_|$))' OR n.nspname = 'domicile_directory') AND n.nspname <> "
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
                          DumpManifest& manifest) {
  auto snapshot = TRY(connection.query("SELECT pg_catalog.pg_export_snapshot()"));
  const PgDumpOptions dumping{.program = options.pg_dump,
                              .dsn = options.dsn,
                              .snapshot = std::string(snapshot.text(0, 0)),
                              .schemas = options.schemas,
                              .tables = options.tables};
  std::vector<std::string> roles;
  for (const char* section : {"pre-data", "post-data"}) {
    const auto bare = TRY(without_guard(TRY(run_pg_dump(dumping, section))));
    roles.insert(roles.end(), bare.roles.begin(), bare.roles.end());
    TRY(write_file_atomic(options.folder / fmt::format("{}.sql", section), bare.sql, 0600));
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
  TRY(connection.copy_out(fmt::format("COPY ({}) TO STDOUT", source_of(table)),
                          [&](std::string_view row) {
                            ++copied;
                            file.write(row);
                          }));
  table.sha256 = TRY(file.close());
  TRY(count_rows(connection, table));
  if (copied != table.rows) {
    return fail(Code::internal, fmt::format("{}: {} rows were copied, {} were counted",
                                            to_string(table.name), copied, table.rows));
  }
  if (options.progress)
    options.progress(fmt::format("{}: {} rows", to_string(table.name), table.rows));
  return {};
}

}  // namespace

Result<DumpManifest> dump_region(const DumpOptions& options) {
  auto connection = TRY(pg::Connection::open(options.dsn));
  DumpManifest manifest = TRY(begin_manifest(connection));
  DumpPlan plan = TRY(plan_dump(connection, options.schemas, options.tables, options.secrets));
  manifest.left_out = std::move(plan.left_out);
  manifest.tables = std::move(plan.tables);
  if (!options.dry_run) TRY(make_folder(options.folder));
  // Rolled back at its end: it grants itself the right to read, and nobody else ever sees that.
  TRY(connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  const auto work = [&]() -> Result<void> {
    TRY(connection.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'"));
    if (!options.dry_run) TRY(write_schema(connection, options, manifest));
    TRY(read_sequences(connection, options, manifest));
    TRY(become_reader(connection, manifest.tables));
    for (DumpedTable& table : manifest.tables) {
      auto done =
          options.dry_run ? count_rows(connection, table) : write_rows(connection, options, table);
      if (!done) return std::unexpected(std::move(done).error().within(to_string(table.name)));
    }
    return {};
  };
  auto done = work();
  (void)connection.script("ROLLBACK");
  TRY(std::move(done));
  if (!options.dry_run)
    TRY(write_file_atomic(options.folder / "manifest.json", to_json(manifest), 0600));
  return manifest;
}

Result<DumpManifest> verify_dump(const fs::path& folder) {
  const auto text = read_file(folder / "manifest.json", 1u << 30);
  if (!text) return std::unexpected(Error{Code::invalid, text.error().message, "dump_manifest"});
  auto manifest = TRY(parse_dump_manifest(*text));
  const auto hold = [&](const std::string& name, const std::string& wanted) -> Result<void> {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen((folder / name).c_str(), "re"), fclose);
    if (!file) return fail(Code::invalid, fmt::format("{} is not there", (folder / name).string()));
    crypto::Sha256 hash;
    std::string buffer(1u << 20, '\0');
    for (std::size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), file.get())) > 0;)
      hash.update(std::string_view(buffer).substr(0, n));
    if (ferror(file.get()) != 0 || to_hex(crypto::view(hash.finish())) != wanted) {
      return fail(Code::conflict,
                  fmt::format("{} is not as the manifest says: it was changed or cut short",
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
