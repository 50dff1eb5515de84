// domicile catalog scan | check | accept | show
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/catalog_report.h"
#include "app/catalog_source.h"
#include "app/cli.h"
#include "app/cmd_catalog_analyse.h"
#include "app/cmd_catalog_migrations.h"
#include "app/dsn_option.h"
#include "base/file.h"
#include "catalog/compare.h"
#include "catalog/merge.h"
#include "store/reading_connection.h"
#include "store/schema_reader.h"

namespace domicile::app {
namespace {

constexpr std::int64_t kSampleRowsMax = 100'000;

struct CatalogOptions {
  std::string dsn;
  std::string dsn_file;
  std::string file = "domicile.catalog.toml";
  std::vector<std::string> schemas;
  std::int64_t sample_rows = 1'000;
  std::string root;
  std::string key_column;
  bool dry_run = false;
  bool all = false;
  bool strict = false;
  std::string table;
  std::string table_class;
  bool questions = false;
  std::vector<std::string> accepted;
  std::string confidence;
  MigrationOptions migrations;
};

CatalogSource source_of(const CatalogOptions& options) {
  return {.dsn = options.dsn,
          .dsn_file = options.dsn_file,
          .schemas = options.schemas,
          .sample_rows = options.sample_rows,
          .root = options.root,
          .key_column = options.key_column};
}

Result<std::string> written_text(const std::optional<CatalogFile>& before,
                                 const catalog::Catalog& after) {
  if (!before) return to_toml(after);
  return catalog::merge_into(before->text, before->catalog, after);
}

Result<int> scan(const CatalogOptions& options, const Cli& cli) {
  std::optional<CatalogFile> before;
  if (std::filesystem::exists(options.file)) before = TRY(load_catalog(options.file));
  const Scanned scanned =
      TRY(scan_database(source_of(options), before ? &before->catalog : nullptr, cli.quiet));
  const auto problems = validate(scanned.proposal.catalog);
  if (!problems.empty()) {
    return fail(Code::conflict,
                fmt::format("what people decided in {0} does not fit the database any more; run "
                            "`domicile catalog check`, mend it and scan again:\n{1}",
                            options.file, catalog::to_string(problems, options.file)));
  }
  const std::string text = TRY(written_text(before, scanned.proposal.catalog));
  const bool write = !options.dry_run && (!before || before->text != text);
  if (write) TRY(write_file_atomic(options.file, text));
  if (cli.json) {
    nlohmann::json out = scan_json(scanned.proposal, scanned.schema, scanned.facts);
    out["file"] = options.file;
    out["written"] = write;
    print(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
  }
  std::string report = scan_text({scanned.proposal, scanned.schema, scanned.facts,
                                  before.has_value(), options.sample_rows > 0, options.all});
  fmt::print("{}\n", report);
  if (options.dry_run)
    fmt::print("Dry run: {} was not written.\n", options.file);
  else if (!write)
    fmt::print("{} is up to date.\n", options.file);
  else
    fmt::print("Wrote {}. Review it (`domicile catalog show`), then `domicile catalog check`.\n",
               options.file);
  return 0;
}

Result<int> check(const CatalogOptions& options, const Cli& cli) {
  const CatalogFile file = TRY(load_catalog(options.file));
  if (!options.migrations.paths.empty())
    return check_migrations(file.catalog, options.migrations, options.strict, cli);
  auto connection = TRY(store::open_for_reading(TRY(database_dsn(options.dsn, options.dsn_file))));
  // All schemas that the role may use, so that a table in a schema which nobody named is found too.
  store::SchemaReaderOptions reading{.schemas = options.schemas};
  const catalog::Schema schema = TRY(store::read_schema(connection, reading));
  const auto found = catalog::compare(file.catalog, schema);
  std::size_t errors = 0;
  std::size_t warnings = 0;
  for (const auto& finding : found) {
    errors += finding.severity == catalog::Severity::error;
    warnings += finding.severity == catalog::Severity::warning;
  }
  const bool ok = errors == 0 && (!options.strict || warnings == 0);
  if (cli.json) {
    nlohmann::json out = {{"ok", ok},
                          {"file", options.file},
                          {"database", schema.database},
                          {"tables", schema.classifiable().size()},
                          {"errors", errors},
                          {"warnings", warnings},
                          {"differences", nlohmann::json::array()}};
    for (const auto& finding : found) out["differences"].push_back(to_json(finding));
    print(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return ok ? 0 : 1;
  }
  if (!found.empty()) fmt::print("{}\n", findings_text(found, SIZE_MAX));
  fmt::print("{}: {} tables in database {}, {} in {}: {} errors, {} warnings\n",
             ok ? "ok" : "failed", schema.classifiable().size(), schema.database,
             file.catalog.tables.size(), options.file, errors, warnings);
  return ok ? 0 : 1;
}

// Makes proposals a person's decision: the lines `proposed` go, no scan changes these sections any more.
Result<int> accept(const CatalogOptions& options, const Cli& cli) {
  const CatalogFile file = TRY(load_catalog(options.file));
  std::set<catalog::QualifiedName> chosen;
  for (const std::string& text : options.accepted) {
    auto name = catalog::parse_qualified_name(text);
    if (!name) return std::unexpected(Error(name.error()).within(text));
    const catalog::Table* table = file.catalog.find(*name);
    if (table == nullptr)
      return fail(Code::invalid, fmt::format("{} has no table {}", options.file, text));
    if (table->open_question() && table->of_organization() && table->key.empty() &&
        table->path.empty()) {
      return fail(
          Code::invalid,
          fmt::format("{} needs a key or a path before it can be accepted; edit its section in {}",
                      text, options.file));
    }
    chosen.insert(*name);
  }
  if (chosen.empty() == options.confidence.empty()) {
    return fail(
        Code::invalid,
        "name the tables to accept, or --confidence certain (or likely: certain and likely)");
  }
  catalog::Catalog after = file.catalog;
  nlohmann::json names = nlohmann::json::array();
  for (catalog::Table& table : after.tables) {
    const bool sure =
        table.proposed && !table.open_question() &&
        (*table.proposed == catalog::Confidence::certain || options.confidence == "likely");
    if (!table.proposed || !(options.confidence.empty() ? chosen.contains(table.name) : sure))
      continue;
    table.proposed.reset();
    names.push_back(to_string(table.name));
  }
  if (const auto problems = validate(after); !problems.empty()) {
    return fail(Code::invalid, catalog::to_string(problems, options.file));
  }
  const std::string text = TRY(catalog::merge_into(file.text, file.catalog, after));
  if (!options.dry_run && text != file.text) TRY(write_file_atomic(options.file, text));
  if (cli.json) {
    print(nlohmann::json{{"file", options.file},
                         {"accepted", names},
                         {"written", !options.dry_run && text != file.text}}
              .dump(2));
  } else {
    for (const auto& name : names) fmt::print("{}\n", name.get<std::string>());
    fmt::print("{} of {} tables accepted{}\n", names.size(), after.tables.size(),
               options.dry_run ? " (dry run: nothing was written)" : "");
  }
  return 0;
}

Result<int> show(const CatalogOptions& options, const Cli& cli) {
  const CatalogFile file = TRY(load_catalog(options.file));
  std::optional<catalog::TableClass> wanted;
  if (!options.table_class.empty()) {
    auto parsed = catalog::parse_table_class(options.table_class);
    if (!parsed) return std::unexpected(Error(parsed.error()).within("--class"));
    wanted = *parsed;
  }
  if (!options.table.empty()) {
    auto name = catalog::parse_qualified_name(options.table);
    if (!name) name = catalog::QualifiedName{"public", options.table};
    const catalog::Table* table = file.catalog.find(*name);
    if (table == nullptr)
      return fail(Code::not_found,
                  fmt::format("{} has no table {}", options.file, to_string(*name)));
    cli.json ? print(to_json(*table, nullptr).dump(2)) : fmt::print("{}", table_text(*table));
    return 0;
  }
  catalog::Catalog shown = file.catalog;
  std::erase_if(shown.tables, [&](const catalog::Table& table) {
    return (wanted && table.table_class != *wanted) ||
           (options.questions && !table.open_question());
  });
  if (cli.json) {
    print(catalog_json(shown).dump(2));
    return 0;
  }
  std::vector<const catalog::Table*> tables;
  for (const auto& table : shown.tables) tables.push_back(&table);
  fmt::print("{}", tables_text(tables));
  return 0;
}

}  // namespace

void add_catalog(CLI::App& root, Cli& cli) {
  auto* noun = root.add_subcommand("catalog", "The classification of an application's tables");
  noun->require_subcommand(1);
  const auto options = std::make_shared<CatalogOptions>();
  const auto file = [&](CLI::App* verb) {
    verb->add_option("--file", options->file, "The catalog file")->capture_default_str();
  };
  const auto database = [&](CLI::App* verb) {
    verb->add_option("--dsn", options->dsn, "Connection string; or set DOMICILE_DSN");
    verb->add_option("--dsn-file", options->dsn_file,
                     "File with the connection string, readable by you alone");
    verb->add_option("--schema", options->schemas, "Only these schemas (repeatable)");
  };

  auto* scanning = noun->add_subcommand(
      "scan", "Propose the catalog from a database; what people decided stays");
  database(scanning);
  file(scanning);
  scanning
      ->add_option("--sample-rows", options->sample_rows,
                   "Look at so many rows of each table; 0: at none")
      ->check(CLI::Range(std::int64_t{0}, kSampleRowsMax))
      ->capture_default_str();
  scanning->add_option("--root", options->root, "The table of the organizations, schema.table");
  scanning->add_option("--key-column", options->key_column,
                       "The key column, when no table lists the organizations");
  scanning->add_flag("--all", options->all,
                     "Print every finding and note, not the first of each kind");
  scanning->add_flag("--dry-run", options->dry_run, "Write nothing");
  scanning->callback(cli.run([options, &cli] { return scan(*options, cli); }));

  auto* checking =
      noun->add_subcommand("check", "Compare the catalog with a database; exit 1 when they differ");
  database(checking);
  file(checking);
  checking->add_flag("--strict", options->strict, "Fail on warnings too");
  add_migration_options(*checking, options->migrations);
  checking->callback(cli.run([options, &cli] { return check(*options, cli); }));

  add_catalog_analyse(*noun, cli);

  auto* accepting = noun->add_subcommand("accept", "Make proposals your decision");
  file(accepting);
  accepting->add_option("table", options->accepted, "schema.table, one or more");
  accepting->add_option("--confidence", options->confidence, "All that are so sure, or surer")
      ->check(CLI::IsMember({"certain", "likely"}));
  accepting->add_flag("--dry-run", options->dry_run, "Write nothing");
  accepting->callback(cli.run([options, &cli] { return accept(*options, cli); }));

  auto* showing = noun->add_subcommand("show", "Print the catalog, or one table of it");
  file(showing);
  showing->add_option("table", options->table, "schema.table");
  showing->add_option("--class", options->table_class, "Only this class");
  showing->add_flag("--questions", options->questions, "Only what waits for a decision");
  showing->callback(cli.run([options, &cli] { return show(*options, cli); }));
}

}  // namespace domicile::app
