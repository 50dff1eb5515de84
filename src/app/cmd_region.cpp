// domicile region init | reconcile | status | violations | validate
#include <algorithm>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/cmd_region_detach.h"
#include "app/cmd_region_fence.h"
#include "app/cmd_region_maintenance.h"
#include "app/cmd_region_mode.h"
#include "app/cmd_region_registry.h"
#include "app/dsn_option.h"
#include "app/region_login.h"
#include "app/region_report.h"
#include "base/file.h"
#include "store/placement_list.h"
#include "store/region_install.h"
#include "store/region_store.h"
#include "store/server_version.h"

namespace domicile::app {
namespace {

struct RegionOptions {
  std::string dsn;
  std::string dsn_file;
  std::string superuser_dsn_file;
  std::string catalog = "domicile.catalog.toml";
  std::string region;
  std::string placements;
  std::vector<std::string> app_roles;
  std::vector<std::string> node_roles;
  std::vector<std::string> reference_roles;
  bool master = false;
  bool dry_run = false;
  bool accept = false;
  bool allow_old_server = false;
  bool keep_temporary = false;
  bool refuse_only = false;
  int lock_timeout_ms = 2'000;
  int attempts = 5;
  int deadline_ms = 10'000;
};

Result<catalog::Catalog> load_catalog(const std::string& path) {
  auto text = read_file(path, 16u << 20);
  if (!text) {
    return fail(
        Code::invalid,
        fmt::format("{}; name the catalog with --catalog, or make one with `domicile catalog scan`",
                    text.error().message));
  }
  return catalog::parse_catalog(*text, path);
}

Result<int> init(const Cli& cli, const RegionOptions& options) {
  store::InstallOptions install;
  install.region = TRY(domain::parse_region_id(options.region));
  install.master = options.master;
  install.app_roles = options.app_roles;
  install.node_roles = options.node_roles;
  install.reference_roles = options.reference_roles;
  install.accept_findings = options.accept;
  install.allow_old_server = options.allow_old_server;
  install.keep_temporary = options.keep_temporary;
  install.apply.dry_run = options.dry_run;
  install.apply.lock_timeout = std::chrono::milliseconds(options.lock_timeout_ms);
  install.apply.attempts = options.attempts;
  install.apply.progress = progress_of(cli);
  const auto catalog = TRY(load_catalog(options.catalog));
  auto connection = TRY(pg::Connection::open(TRY(database_dsn(options.dsn, options.dsn_file))));
  std::unique_ptr<pg::Connection> superuser;
  if (!options.superuser_dsn_file.empty()) {
    const Secret dsn = TRY(read_secret_file(options.superuser_dsn_file));
    superuser =
        std::make_unique<pg::Connection>(TRY(pg::Connection::open(std::string(dsn.reveal()))));
    TRY(same_database(connection, *superuser));
    install.superuser = superuser.get();
  }
  const auto report = TRY(store::install_region(connection, catalog, install));
  print(cli.json ? install_json(report, options.dry_run) : install_text(report, options.dry_run));
  if (report.blocked()) return 3;
  return 0;
}

Result<int> reconcile(const Cli& cli, const RegionOptions& options) {
  const std::string text = TRY(read_file(options.placements, 256u << 20));
  auto connection = TRY(pg::Connection::open(TRY(database_dsn(options.dsn, options.dsn_file))));
  SystemClock clock;
  store::RegionStore region(connection, clock);
  const auto status = TRY(region.status());
  const auto list = TRY(store::parse_placement_list(text, status.key_type));
  if (list.region != status.region) {
    return fail(Code::invalid,
                fmt::format("{} is the list of region {}, this database is {}", options.placements,
                            list.region.text(), status.region.text()),
                "region_mismatch");
  }
  if (status.in_recovery)
    return fail(Code::invalid, "this server is a standby: reconcile after its promotion",
                "standby");
  store::FenceOptions fence;
  fence.deadline = std::chrono::milliseconds(options.deadline_ms);
  const auto changes = TRY(region.reconcile(list.organizations, options.dry_run, fence));
  print(cli.json ? reconcile_json(changes, status, options.dry_run)
                 : reconcile_text(changes, status, options.dry_run));
  return 0;
}

Result<int> status(const Cli& cli, const RegionOptions& options) {
  auto connection = TRY(pg::Connection::open(TRY(database_dsn(options.dsn, options.dsn_file))));
  SystemClock clock;
  const auto found = TRY(store::RegionStore(connection, clock).status());
  print(cli.json ? status_json(found) : status_text(found));
  return found.open ? 0 : 1;
}

Result<int> violations(const Cli& cli, const RegionOptions& options) {
  auto connection = TRY(pg::Connection::open(TRY(database_dsn(options.dsn, options.dsn_file))));
  auto findings = TRY(store::region_findings(connection));
  if (options.refuse_only)
    std::erase_if(findings, [](const store::Finding& f) { return !f.refuse || f.known; });
  print(cli.json ? findings_json(findings) : findings_text(findings));
  const bool bad = std::any_of(findings.begin(), findings.end(),
                               [](const store::Finding& f) { return f.refuse && !f.known; });
  return bad ? 1 : 0;
}

Result<int> validate(const Cli& cli, const RegionOptions& options) {
  auto connection = TRY(pg::Connection::open(TRY(database_dsn(options.dsn, options.dsn_file))));
  const auto outcomes = TRY(store::validate_guards(connection, progress_of(cli)));
  print(cli.json ? validate_json(outcomes) : validate_text(outcomes));
  return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& o) { return o.valid; }) ? 0
                                                                                              : 1;
}

CLI::App* verb(CLI::App* region, const char* name, const char* what, RegionOptions& options) {
  CLI::App* app = region->add_subcommand(name, what);
  app->add_option("--dsn", options.dsn,
                  "The region's database (a password belongs in --dsn-file or the environment)");
  app->add_option("--dsn-file", options.dsn_file,
                  "File with the connection string, readable by you alone");
  return app;
}

void add_init(CLI::App* region, Cli& cli, const std::shared_ptr<RegionOptions>& options) {
  CLI::App* verb_init = verb(
      region, "init",
      "Install or upgrade the guard from the catalog; run it again after every change", *options);
  verb_init->add_option("--catalog", options->catalog, "The catalog file")->capture_default_str();
  verb_init->add_option("--region", options->region, "Which region this database is")->required();
  verb_init->add_option("--app-role", options->app_roles,
                        "Role of the application's pool; may be given several times");
  verb_init->add_option("--node-role", options->node_roles,
                        "Role a Domicile node logs in as; may be given several times");
  verb_init->add_option("--reference-role", options->reference_roles,
                        "Role a node publishes (master region) or applies reference data as; may "
                        "be given several times");
  verb_init->add_flag("--master", options->master, "Reference data may change here");
  verb_init->add_flag("--dry-run", options->dry_run, "Print the SQL, change nothing");
  verb_init->add_flag("--accept-findings", options->accept,
                      "Take today's findings as known: they no longer refuse DDL");
  verb_init->add_option("--superuser-dsn-file", options->superuser_dsn_file,
                        "Connection string of a superuser, for the event triggers only");
  verb_init
      ->add_flag("--allow-old-server", options->allow_old_server,
                 "For trials: also below the safe minor version")
      ->group("");
  verb_init->add_flag("--keep-temporary", options->keep_temporary,
                      "Let every role make temporary tables (a pooled connection then carries them "
                      "from one tenant to the next)");
  verb_init
      ->add_option("--lock-timeout-ms", options->lock_timeout_ms,
                   "How long one attempt may wait for a table's lock")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
  verb_init->add_option("--attempts", options->attempts, "Attempts per table")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  verb_init->callback(cli.run([&cli, options] { return init(cli, *options); }));
}

}  // namespace

void add_region(CLI::App& root, Cli& cli) {
  auto options = std::make_shared<RegionOptions>();
  CLI::App* region =
      root.add_subcommand("region", "Guard a regional database, open it, look at it");
  region->require_subcommand(1);

  add_init(region, cli, options);

  CLI::App* verb_reconcile =
      verb(region, "reconcile",
           "Compare with the registry's list, correct who is homed, open the region", *options);
  verb_reconcile
      ->add_option("--placements", options->placements,
                   "The registry's list of this region's organizations (JSON)")
      ->required();
  verb_reconcile->add_flag("--dry-run", options->dry_run, "Say what would change, change nothing");
  verb_reconcile
      ->add_option("--deadline-ms", options->deadline_ms, "How long to wait for open transactions")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  verb_reconcile->callback(cli.run([&cli, options] { return reconcile(cli, *options); }));

  verb(region, "status", "Is the region open, on which timeline, how many organizations", *options)
      ->callback(cli.run([&cli, options] { return status(cli, *options); }));

  CLI::App* verb_violations =
      verb(region, "violations", "The database as it is, held against the catalog", *options);
  verb_violations->add_flag("--refused-only", options->refuse_only, "Only what must not be");
  verb_violations->callback(cli.run([&cli, options] { return violations(cli, *options); }));

  verb(region, "validate", "Look at the rows that were there before the guard", *options)
      ->callback(cli.run([&cli, options] { return validate(cli, *options); }));

  add_region_registry(*region, cli);
  add_region_fence(*region, cli);
  add_region_mode(*region, cli);
  add_region_detach(*region, cli);
  add_region_maintenance(*region, cli);
}

}  // namespace domicile::app
