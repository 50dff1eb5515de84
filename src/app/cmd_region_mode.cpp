// domicile region observe | enforce | off: the mode of single tables. The catalog file stays the
// truth: its mode lines are edited first, and then the database follows, so that an interruption
// leaves a file that the next run (or `region init`) brings about.
#include "app/cmd_region_mode.h"

#include <memory>

#include <fmt/format.h>

#include "app/region_login.h"
#include "app/region_observation.h"
#include "base/file.h"
#include "catalog/edit_mode.h"
#include "store/publication.h"
#include "store/temporary_tables.h"

namespace domicile::app {
namespace {

using catalog::Mode;
using catalog::QualifiedName;

// The tables that were named, or all that can be guarded.
Result<std::set<QualifiedName>> chosen_tables(const ModeRequest& verb,
                                              const catalog::Catalog& catalog) {
  std::set<QualifiedName> chosen;
  const auto guardable = [](const catalog::Table& table) {
    return !table.open_question() && !table.planned &&
           table.table_class != catalog::TableClass::system &&
           table.table_class != catalog::TableClass::ignored;
  };
  for (const auto& text : verb.tables) {
    const auto name = TRY(catalog::parse_qualified_name(text));
    const catalog::Table* table = catalog.find(name);
    if (table == nullptr)
      return fail(Code::invalid,
                  fmt::format("--table {}: it is not in {}; `domicile catalog scan` adds it", text,
                              verb.catalog));
    if (!guardable(*table))
      return fail(Code::invalid,
                  fmt::format("--table {}: class {}{} has nothing to guard; decide its class in {}",
                              text, to_string(table->table_class),
                              table->open_question() ? " (an open question)" : "", verb.catalog));
    chosen.insert(name);
  }
  if (verb.all) {
    for (const auto& table : catalog.tables) {
      if (guardable(table)) chosen.insert(table.name);
    }
  }
  if (chosen.empty())
    return fail(Code::invalid,
                "no table is named; write --table schema.name (again and again) or --all");
  return chosen;
}

Result<void> look_at_file(const ModeRequest& verb, const std::string& before,
                          const std::string& after) {
  if (!verb.no_edit || before == after) return {};
  std::size_t line = 1;
  for (std::size_t i = 0; i < before.size() && i < after.size() && before[i] == after[i]; ++i)
    line += before[i] == '\n';
  return fail(Code::invalid,
              fmt::format("{}:{}: the file says another mode than this command; change and review "
                          "it first, or leave --no-edit away",
                          verb.catalog, line),
              "catalog_differs");
}

Result<int> change(const Cli& cli, const ModeRequest& verb, Mode mode) {
  const std::string text = TRY(read_file(verb.catalog, 16u << 20));
  const auto catalog = TRY(catalog::parse_catalog(text, verb.catalog));
  const auto chosen = TRY(chosen_tables(verb, catalog));
  const std::string edited = TRY(catalog::edit_mode(text, verb.catalog, chosen, mode));
  TRY(look_at_file(verb, text, edited));
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));

  auto wanted = TRY(store::as_recorded(connection, catalog));
  for (const auto& name : chosen) wanted.find(name)->mode = mode;
  ModeOutcome outcome{.mode = mode,
                      .dry_run = verb.dry_run,
                      .refused = false,
                      .file_edited = text != edited,
                      .file = verb.catalog,
                      .tables = {},
                      .database = {},
                      .validated = {},
                      .change = TRY(store::prepare_mode(connection, wanted, chosen, mode))};
  const auto publication = TRY(store::prepare_publication(
      connection, wanted, outcome.change.plan.guards, TRY(store::is_master(connection))));
  bool in_the_way = !outcome.change.strangers.empty();
  for (const auto& [table, statements] : outcome.change.refused_lately)
    in_the_way = in_the_way || statements > 0;
  outcome.refused = in_the_way && !verb.anyway && !verb.dry_run;
  if (outcome.refused) {
    print(cli.json ? mode_json(outcome) : mode_text(outcome));
    return 1;
  }
  if (outcome.file_edited && !verb.dry_run) TRY(write_file_atomic(verb.catalog, edited));
  store::ApplyOptions options;
  options.dry_run = verb.dry_run;
  options.lock_timeout = std::chrono::milliseconds(verb.lock_timeout_ms);
  options.attempts = verb.attempts;
  options.only = outcome.change.touched;
  options.validate_below_bytes = 0;
  options.progress = progress_of(cli);
  TRY(store::settle_publication(connection, publication, store::PublicationHalf::take_out,
                                options));
  outcome.tables = TRY(store::apply_catalog(connection, outcome.change.plan, options));
  outcome.database = TRY(store::settle_publication(connection, publication,
                                                   store::PublicationHalf::complete, options));
  if (mode == Mode::observe && verb.anew && !verb.dry_run)
    TRY(store::observe_anew(connection, chosen));
  if (!outcome.blocked() && !verb.keep_temporary) {
    const bool enforced = mode == Mode::enforce || TRY(store::any_enforced(connection));
    for (auto& line : TRY(store::settle_temporary_tables(connection, enforced, verb.dry_run)))
      outcome.database.push_back(std::move(line));
  }
  if (mode == Mode::enforce && !verb.no_validate && !verb.dry_run && !outcome.blocked())
    outcome.validated = TRY(store::validate_guards(connection, progress_of(cli), chosen));
  print(cli.json ? mode_json(outcome) : mode_text(outcome));
  return outcome.blocked() ? 3 : 0;
}

}  // namespace

Result<int> change_mode(const Cli& cli, const ModeRequest& verb, Mode mode) {
  return goes_on(change(cli, verb, mode));
}

namespace {

Result<int> observe(const Cli& cli, const ModeRequest& verb) {
  if (!verb.report) return change_mode(cli, verb, Mode::observe);
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  const auto report = TRY(store::read_observations(connection));
  print(cli.json ? observation_json(report) : observation_text(report));
  return 0;
}

CLI::App* mode_verb(CLI::App& region, const char* name, const char* what, ModeRequest& verb) {
  CLI::App* app = region.add_subcommand(name, what);
  add_login(*app, verb.login);
  app->add_option("--catalog", verb.catalog, "The catalog file; its mode lines are edited")
      ->capture_default_str();
  app->add_option("--table", verb.tables, "schema.name; may be given several times");
  app->add_flag("--all", verb.all, "Every table that can be guarded");
  app->add_flag("--dry-run", verb.dry_run, "Print the SQL, change nothing");
  app->add_flag("--no-edit", verb.no_edit,
                "Refuse where the catalog file says another mode, instead of editing it");
  app->add_flag("--keep-temporary", verb.keep_temporary,
                "Leave the right to make temporary tables as it is");
  app->add_option("--lock-timeout-ms", verb.lock_timeout_ms,
                  "How long one attempt may wait for a table's lock")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
  app->add_option("--attempts", verb.attempts, "Attempts per table")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  return app;
}

}  // namespace

void add_region_mode(CLI::App& region_noun, Cli& cli) {
  auto verb = std::make_shared<ModeRequest>();
  CLI::App* app = mode_verb(region_noun, "observe",
                            "Record what enforcement would refuse, change no result", *verb);
  app->add_flag("--report", verb->report, "What was recorded, table by table, and what is ready");
  app->add_flag("--anew", verb->anew, "Forget what was recorded of these tables");
  app->callback(cli.run([&cli, verb] { return observe(cli, *verb); }));

  app = mode_verb(region_noun, "enforce", "Guard tables: foreign rows are refused, rows isolated",
                  *verb);
  app->add_flag("--anyway", verb->anyway,
                "In spite of rows and statements that enforcement would refuse");
  app->add_flag("--no-validate", verb->no_validate,
                "Leave the rows from before to `region validate`");
  app->callback(cli.run([&cli, verb] { return change_mode(cli, *verb, Mode::enforce); }));

  app = mode_verb(region_noun, "off", "Take everything of Domicile's off tables", *verb);
  app->callback(cli.run([&cli, verb] { return change_mode(cli, *verb, Mode::off); }));
}

}  // namespace domicile::app
