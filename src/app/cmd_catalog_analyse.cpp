#include "app/cmd_catalog_analyse.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/catalog_analysis.h"
#include "app/catalog_page.h"
#include "app/catalog_source.h"
#include "app/dsn_option.h"
#include "base/file.h"
#include "store/placement_list.h"
#include "store/reading_connection.h"

namespace domicile::app {
namespace {

struct AnalyseOptions {
  CatalogSource source;
  std::string file = "domicile.catalog.toml";
  bool file_given = false;
  std::string regions;
  std::vector<std::string> placements;
  std::string html;
  bool exact = false;
  std::size_t top = 20;
};

Result<catalog::Assignment> assignment_of(const AnalyseOptions& options, domain::KeyType key_type) {
  if (!options.regions.empty()) {
    return catalog::parse_assignment(TRY(read_file(options.regions, 64u << 20)), key_type,
                                     options.regions);
  }
  catalog::Assignment out;
  for (const std::string& path : options.placements) {
    auto list = store::parse_placement_list(TRY(read_file(path, 64u << 20)), key_type);
    if (!list) return std::unexpected(Error(list.error()).within(path));
    for (const auto& placed : list->organizations) {
      const auto [at, added] = out.emplace(placed.key.text(), list->region.text());
      if (!added && at->second != list->region.text()) {
        return fail(Code::invalid,
                    fmt::format("{}: organization {} is homed in {} as well as in {}", path,
                                placed.key.text(), at->second, list->region.text()));
      }
    }
  }
  return out;
}

Result<Analysis> measure(pg::Connection& connection, const Scanned& scanned,
                         const catalog::Assignment& assignment, const AnalyseOptions& options,
                         bool quiet) {
  const auto& catalog = scanned.proposal.catalog;
  const auto questions = size_questions(catalog, scanned.schema);
  store::SizesOptions asking{.exact = options.exact};
  if (options.exact) asking.statement_timeout = std::chrono::minutes(10);
  if (!quiet) fmt::print(stderr, "measuring {} tables\n", questions.size());
  const auto sizes =
      TRY(store::read_sizes(connection, scanned.schema, questions, asking, [&](std::size_t at) {
        if (!quiet && at > 0 && at % 100 == 0) fmt::print(stderr, "  {} measured\n", at);
      }));
  Analysis out = analyse(catalog, scanned.schema, sizes, assignment);
  const catalog::Table* members = membership_table(catalog, scanned.schema);
  if (members == nullptr || assignment.empty()) return out;
  std::vector<std::string> keys;
  std::vector<std::string> regions;
  for (const auto& [key, region] : assignment) {
    keys.push_back(key);
    regions.push_back(region);
  }
  auto people = store::people_by_regions(connection, members->name, members->key, members->person,
                                         keys, regions, asking);
  out.members = to_string(members->name);
  if (people) {
    out.people_by_regions = *people;
  } else if (people.error().reason.empty() || people.error().reason.starts_with("08")) {
    return std::unexpected(people.error());
  } else {
    out.people_unknown = people.error().message;
  }
  return out;
}

Result<int> analyse_database(const AnalyseOptions& options, const Cli& cli) {
  if (!options.regions.empty() && !options.placements.empty()) {
    return fail(Code::invalid, "--regions and --placements are both given; keep one");
  }
  std::optional<CatalogFile> file;
  if (options.file_given || std::filesystem::exists(options.file))
    file = TRY(load_catalog(options.file));
  // A wrong file is said before a database is read for minutes.
  if (file) TRY(assignment_of(options, file->catalog.key_type));
  auto connection =
      TRY(store::open_for_reading(TRY(database_dsn(options.source.dsn, options.source.dsn_file))));
  const Scanned scanned =
      TRY(scan_connection(connection, options.source, file ? &file->catalog : nullptr, cli.quiet));
  const auto assignment = TRY(assignment_of(options, scanned.proposal.catalog.key_type));
  const Analysis analysis = TRY(measure(connection, scanned, assignment, options, cli.quiet));
  if (!options.html.empty()) TRY(write_file_atomic(options.html, catalog_page(scanned, analysis)));
  if (cli.json) {
    nlohmann::json out = analysis_json(analysis);
    out["catalog"] = file ? nlohmann::json(options.file) : nlohmann::json(nullptr);
    if (!options.html.empty()) out["html"] = options.html;
    print(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
  }
  if (!file)
    fmt::print("There is no {}: classes are as the scan would propose them.\n", options.file);
  fmt::print("{}", analysis_text(analysis, options.top));
  if (!options.html.empty()) fmt::print("\nWrote {}.\n", options.html);
  return 0;
}

}  // namespace

void add_catalog_analyse(CLI::App& noun, Cli& cli) {
  auto* verb = noun.add_subcommand("analyse",
                                   "Rows and bytes by organization, region and table; only reads");
  verb->alias("analyze");
  const auto options = std::make_shared<AnalyseOptions>();
  verb->add_option("--dsn", options->source.dsn, "Connection string; or set DOMICILE_DSN");
  verb->add_option("--dsn-file", options->source.dsn_file,
                   "File with the connection string, readable by you alone");
  verb->add_option("--schema", options->source.schemas, "Only these schemas (repeatable)");
  auto* file = verb->add_option("--file,--catalog", options->file,
                                "The catalog file; when there is none, the scan's proposal")
                   ->capture_default_str();
  verb->add_option("--regions", options->regions, "Who is to live where: lines of key,region");
  verb->add_option("--placements", options->placements,
                   "Who lives where: the registry's list of a region, JSON (repeatable)");
  verb->add_option("--html", options->html, "Also write one page that stands alone");
  verb->add_flag("--exact", options->exact, "Read every row, however large the table");
  verb->add_option("--top", options->top, "So many organizations and tables in the text")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}))
      ->capture_default_str();
  verb->add_option("--root", options->source.root,
                   "The table of the organizations, schema.table, when there is no file");
  verb->callback(cli.run([options, file, &cli] {
    options->file_given = file->count() > 0;
    return analyse_database(*options, cli);
  }));
}

}  // namespace domicile::app
