// domicile region detach: the former schema again. For single tables it is `region off`; for
// everything it asks for the region's name.
#include "app/cmd_region_detach.h"

#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cmd_region_mode.h"
#include "app/region_login.h"
#include "store/detach.h"

namespace domicile::app {
namespace {

struct DetachVerb {
  RegionLogin login;
  store::DetachOptions options;
  bool all = false;
  int lock_timeout_ms = 2'000;
  ModeRequest tables;
};

std::string text_of(const store::DetachReport& report, bool dry_run) {
  std::string out;
  for (const auto& step : report.steps) {
    if (dry_run) {
      if (step.sql.empty()) continue;
      out += fmt::format("-- {}\nBEGIN;\n", step.what);
      for (const auto& statement : step.sql) out += statement + ";\n";
      out += "COMMIT;\n";
    } else if (!step.blocked_by.empty()) {
      out += fmt::format("  blocked  {}: {}\n", step.what, step.blocked_by);
    } else {
      out += fmt::format("  restored {} ({} statements)\n", step.what, step.sql.size());
    }
  }
  for (const auto& kept : report.kept)
    out += fmt::format("{}kept: {}\n", dry_run ? "-- " : "  ", kept);
  if (dry_run) return out + "-- a dry run: nothing was changed";
  if (report.blocked())
    return out + "some tables were locked by others for too long: run the same command again";
  return out + fmt::format("Domicile is off this database (region {})", report.region);
}

std::string json_of(const store::DetachReport& report, bool dry_run) {
  nlohmann::json json = {{"region", report.region},
                         {"dry_run", dry_run},
                         {"blocked", report.blocked()},
                         {"kept", report.kept},
                         {"steps", nlohmann::json::array()}};
  for (const auto& step : report.steps)
    json["steps"].push_back({{"what", step.what},
                             {"done", step.done},
                             {"blocked_by", step.blocked_by},
                             {"sql", step.sql}});
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<int> detach(const Cli& cli, DetachVerb& verb) {
  if (verb.all == !verb.tables.tables.empty())
    return fail(Code::invalid,
                "write --table schema.name (again and again), or --all --confirm REGION");
  if (!verb.all) {
    verb.tables.login = verb.login;
    verb.tables.dry_run = verb.options.dry_run;
    verb.tables.lock_timeout_ms = verb.lock_timeout_ms;
    verb.tables.attempts = verb.options.attempts;
    return change_mode(cli, verb.tables, catalog::Mode::off);
  }
  verb.options.lock_timeout = std::chrono::milliseconds(verb.lock_timeout_ms);
  verb.options.progress = progress_of(cli);
  auto connection = TRY(open_region(verb.login));
  const auto report = TRY(store::detach_region(connection, verb.options));
  print(cli.json ? json_of(report, verb.options.dry_run) : text_of(report, verb.options.dry_run));
  return report.blocked() ? 3 : 0;
}

}  // namespace

void add_region_detach(CLI::App& region_noun, Cli& cli) {
  auto verb = std::make_shared<DetachVerb>();
  CLI::App* app = region_noun.add_subcommand(
      "detach", "Take Domicile off: the schema, rights and row security from before");
  add_login(*app, verb->login);
  app->add_option("--table", verb->tables.tables, "schema.name; may be given several times");
  app->add_option("--catalog", verb->tables.catalog, "With --table: the catalog file")
      ->capture_default_str();
  app->add_flag("--all", verb->all, "Everything, with Domicile's own schemas");
  app->add_option("--confirm", verb->options.confirm, "With --all: the region's name");
  app->add_flag("--drop-roles", verb->options.drop_roles,
                "Also the roles of Domicile and of organizations, where nothing depends on them");
  app->add_flag("--discard-directory", verb->options.discard_directory,
                "Also the accounts of the built-in issuer");
  app->add_flag("--dry-run", verb->options.dry_run, "Print the SQL, change nothing");
  app->add_option("--lock-timeout-ms", verb->lock_timeout_ms,
                  "How long one attempt may wait for a table's lock")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
  app->add_option("--attempts", verb->options.attempts, "Attempts per table")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app->callback(cli.run([&cli, verb] { return goes_on(detach(cli, *verb)); }));
}

}  // namespace domicile::app
