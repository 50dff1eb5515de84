// domicile dump | restore
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "base/file.h"
#include "crypto/sha256.h"
#include "store/dump.h"

namespace domicile::app {
namespace {

struct DumpArguments {
  std::string dsn;
  std::string dsn_file;
  std::string folder;
  std::vector<std::string> tables;
  std::vector<std::string> schemas;
  bool secrets = false;
  bool dry_run = false;
  std::string pg_dump = "pg_dump";
  std::string region;
  bool master = false;
  bool verify = false;
  bool allow_old_server = false;
  std::string manifest_sha256;
};

Result<std::string> dsn_of(const DumpArguments& arguments) {
  if (!arguments.dsn.empty() && !arguments.dsn_file.empty())
    return fail(Code::invalid, "--dsn and --dsn-file are both given; keep one");
  if (!arguments.dsn.empty()) return arguments.dsn;
  if (!arguments.dsn_file.empty())
    return std::string(TRY(read_secret_file(arguments.dsn_file)).reveal());
  if (const char* set = std::getenv("DOMICILE_DSN"); set != nullptr && *set != '\0')
    return std::string(set);
  return fail(Code::invalid,
              "no database is named; write --dsn postgresql://user@host/database, --dsn-file PATH, "
              "or set DOMICILE_DSN");
}

store::DumpProgress progress_of(const Cli& cli) {
  if (cli.quiet) return {};
  return [](const std::string& line) { fmt::print(stderr, "  {}\n", line); };
}

nlohmann::json summary(const store::DumpManifest& manifest) {
  nlohmann::json tables = nlohmann::json::array();
  std::int64_t rows = 0;
  for (const auto& table : manifest.tables) {
    tables.push_back({{"table", to_string(table.name)},
                      {"rows", table.rows},
                      {"organizations", table.organizations.size()}});
    rows += table.rows;
  }
  return {{"region", manifest.region},
          {"made_at", manifest.made_at},
          {"rows", rows},
          {"tables", tables},
          {"left_out", manifest.left_out}};
}

Result<int> dump(const DumpArguments& arguments, const Cli& cli) {
  const auto manifest = TRY(store::dump_region({.dsn = TRY(dsn_of(arguments)),
                                                .folder = arguments.folder,
                                                .tables = arguments.tables,
                                                .schemas = arguments.schemas,
                                                .secrets = arguments.secrets,
                                                .dry_run = arguments.dry_run,
                                                .pg_dump = arguments.pg_dump,
                                                .progress = progress_of(cli)}));
  auto out = summary(manifest);
  const std::string hash = arguments.dry_run ? "" : crypto::sha256_hex(to_json(manifest));
  if (cli.json) {
    out["folder"] = arguments.folder;
    out["manifest_sha256"] = hash;
    out["written"] = !arguments.dry_run;
    print(out.dump(2));
    return 0;
  }
  fmt::print("region {}: {} tables, {} rows{}\n", manifest.region, manifest.tables.size(),
             out["rows"].get<std::int64_t>(),
             arguments.dry_run ? " would be taken (dry run: nothing was written)"
                               : " in " + arguments.folder);
  for (const auto& left : manifest.left_out) fmt::print("left out: {}\n", left);
  if (!arguments.dry_run) fmt::print("manifest.json sha256 {}\n", hash);
  return 0;
}

Result<int> verify(const DumpArguments& arguments, const Cli& cli) {
  const auto manifest = TRY(store::verify_dump(arguments.folder, arguments.manifest_sha256));
  auto connection = TRY(pg::Connection::open(TRY(dsn_of(arguments))));
  const auto different = TRY(store::compare_counts(connection, manifest));
  const auto validated = TRY(store::validate_directory(connection));
  if (cli.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& d : different)
      list.push_back({{"table", d.table},
                      {"organization", d.organization},
                      {"wanted", d.wanted},
                      {"found", d.found}});
    print(nlohmann::json{{"ok", different.empty()}, {"differences", list}, {"validated", validated}}
              .dump(2));
    return different.empty() ? 0 : 1;
  }
  for (const auto& d : different) {
    fmt::print("{}{}: {} rows, the manifest says {}\n", d.table,
               d.organization.empty() ? "" : " of organization " + d.organization, d.found,
               d.wanted);
  }
  fmt::print("{}: {} tables compared with the manifest of {}, {} differences\n",
             different.empty() ? "ok" : "failed", manifest.tables.size(), manifest.made_at,
             different.size());
  return different.empty() ? 0 : 1;
}

Result<int> restore(const DumpArguments& arguments, const Cli& cli) {
  if (arguments.verify) return verify(arguments, cli);
  const auto restored = TRY(store::restore_region({.dsn = TRY(dsn_of(arguments)),
                                                   .folder = arguments.folder,
                                                   .manifest_sha256 = arguments.manifest_sha256,
                                                   .region = arguments.region,
                                                   .master = arguments.master,
                                                   .allow_old_server = arguments.allow_old_server,
                                                   .dry_run = arguments.dry_run,
                                                   .progress = progress_of(cli)}));
  const auto& manifest = restored.manifest;
  auto out = summary(manifest);
  if (cli.json) {
    out["restored"] = !arguments.dry_run;
    out["since"] = restored.since.empty() ? nlohmann::json() : nlohmann::json(restored.since);
    print(out.dump(2));
    return 0;
  }
  if (arguments.dry_run && restored.since.empty()) {
    fmt::print("{} tables, {} rows of {} would be restored (dry run: nothing was changed)\n",
               manifest.tables.size(), out["rows"].get<std::int64_t>(), manifest.made_at);
    return 0;
  }
  const std::string since = restored.since.empty() ? "The region is closed."
                                                   : "They have been there since " +
                                                         restored.since + ": nothing was done now.";
  fmt::print(
      "{} tables, {} rows of {} are in the database, as the manifest says. {} Next:\n  domicile "
      "region init --region {} --catalog ...  (with the roles as "
      "before)\n  domicile region reconcile --placements ...\n  domicile region validate\n"
      "  domicile restore --verify {}\n",
      manifest.tables.size(), out["rows"].get<std::int64_t>(), manifest.made_at, since,
      arguments.region.empty() ? manifest.region : arguments.region, arguments.folder);
  return 0;
}

void database(CLI::App& verb, DumpArguments& arguments) {
  verb.add_option("folder", arguments.folder, "The dump's folder")->required();
  verb.add_option("--dsn", arguments.dsn,
                  "The region's database, as its installer (a password belongs in --dsn-file)");
  verb.add_option("--dsn-file", arguments.dsn_file,
                  "File with the connection string, readable by you alone");
  verb.add_flag("--dry-run", arguments.dry_run, "Say what would be done, change nothing");
}

}  // namespace

void add_dump(CLI::App& root, Cli& cli) {
  auto taken = std::make_shared<DumpArguments>();
  auto* dumping = root.add_subcommand(
      "dump", "Take a region's rows and schema into a folder, counted and hashed");
  database(*dumping, *taken);
  dumping->add_option("--table", taken->tables, "Only this table, schema.table (repeatable)");
  dumping->add_option("--schema", taken->schemas, "Only this schema (repeatable)");
  dumping->add_flag("--with-secrets", taken->secrets,
                    "Also signing keys, context keys and sessions");
  dumping->add_option("--pg-dump", taken->pg_dump, "The pg_dump program, for the schema")
      ->capture_default_str();
  dumping->callback(cli.run([taken, &cli] { return dump(*taken, cli); }));

  auto given = std::make_shared<DumpArguments>();
  auto* restoring = root.add_subcommand(
      "restore", "Put a dump into an empty database; the region stays closed until reconcile");
  database(*restoring, *given);
  restoring->add_option("--region", given->region,
                        "Another region than the dump's (a copy for tests)");
  restoring->add_flag("--master", given->master, "Reference data may change here");
  restoring->add_flag("--verify", given->verify,
                      "Restore nothing: compare the database's rows with the dump's manifest");
  restoring->add_option("--manifest-sha256", given->manifest_sha256,
                        "What the manifest's hash has to be: what `dump` printed");
  restoring->add_flag("--allow-old-server", given->allow_old_server, "For trials")->group("");
  restoring->callback(cli.run([given, &cli] { return restore(*given, cli); }));
}

}  // namespace domicile::app
