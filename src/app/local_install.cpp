#include "app/local_install.h"

#include <map>
#include <set>

#include <fmt/format.h>

#include "app/local_databases.h"
#include "base/clock.h"
#include "base/file.h"
#include "catalog/catalog.h"
#include "pg/connection.h"
#include "store/migrations.h"
#include "store/region_install.h"
#include "store/region_store.h"
#include "store/registry_sql.h"

namespace domicile::app {
namespace {

// Changes with every build: another Domicile does its steps again (they do nothing where all is well).
std::string build_mark() {
  std::error_code ignored;
  const std::filesystem::path self = "/proc/self/exe";
  const auto written = std::filesystem::last_write_time(self, ignored).time_since_epoch().count();
  return fmt::format("{} {}", std::filesystem::file_size(self, ignored), written);
}

Result<void> guard(LocalContext& context, const LocalRegion& local, const LocalPostgres& server) {
  const LocalApplication& app = context.config.application;
  const std::string text = TRY(read_file(app.catalog, 16u << 20));
  const catalog::Catalog catalog = TRY(catalog::parse_catalog(text, app.catalog.string()));
  auto installer = TRY(pg::Connection::open(server.dsn(app.name, context.role("installer"))));
  auto superuser = TRY(pg::Connection::open(server.superuser_dsn(app.name)));
  store::InstallOptions options;
  options.region = local.region.id;
  options.master = local.region.master;
  options.app_roles = {context.role("pool")};
  options.node_roles = {context.role("node")};
  options.reference_roles = {reference_role(context, local)};
  options.superuser = &superuser;  // for the event triggers only
  const store::InstallReport report = TRY(store::install_region(installer, catalog, options));
  if (report.blocked()) {
    return fail(Code::conflict, fmt::format("{}: some tables were locked by others; start again",
                                            local.region.id.view()));
  }
  TRY(installer.script(
      fmt::format("GRANT domicile_checker TO {}; GRANT CONNECT ON DATABASE {} TO domicile_tenant",
                  pg::quote_identifier(context.role("checker")), pg::quote_identifier(app.name))));
  for (const store::Finding& finding : report.findings) {
    context.progress.step(local.region.id.view(), fmt::format("to review: {} {}: {}", finding.kind,
                                                              finding.object, finding.detail));
  }
  return {};
}

Result<void> registry(LocalContext& context, const LocalPostgres& master) {
  auto connection =
      TRY(pg::Connection::open(master.dsn(kRegistryDatabase, context.role("installer"))));
  store::MigrationOptions options;
  options.set = "control";
  options.schema = "domicile_registry";
  TRY(store::migrate(connection, options));
  TRY(connection.script(fmt::format("GRANT domicile_registry_reader TO {}",
                                    pg::quote_identifier(context.role("node")))));
  std::map<domain::JurisdictionId, std::vector<domain::LocationId>> jurisdictions;
  for (const LocalRegion& local : context.config.regions) {
    auto& locations = jurisdictions[local.region.jurisdiction];
    locations.insert(locations.end(), local.region.locations.begin(), local.region.locations.end());
  }
  for (const auto& [id, locations] : jurisdictions) {
    TRY(store::registry_put_jurisdiction(connection, id, locations));
  }
  for (const LocalRegion& local : context.config.regions) {
    domain::Region region = local.region;
    region.url = context.url(local);
    TRY(store::registry_put_region(connection, region));
  }
  return {};
}

Result<std::vector<store::PlacedHere>> placements(LocalContext& context,
                                                  const domain::RegionId& region,
                                                  const LocalPostgres& master) {
  auto connection =
      TRY(pg::Connection::open(master.dsn(kRegistryDatabase, context.role("installer"))));
  std::vector<store::PlacedHere> here;
  store::RegistryFilter filter;
  filter.region = region;
  filter.limit = 1000;
  for (;;) {
    const auto page = TRY(store::registry_list(connection, filter));
    for (const auto& each : page) {
      const domain::Organization& organization = each.entry.organization;
      if (organization.placement.state == domain::PlacementState::closed) continue;
      here.push_back({organization.key, organization.placement.epoch,
                      organization.placement.state != domain::PlacementState::active});
    }
    if (page.size() < filter.limit) return here;
    filter.after_key = page.back().entry.organization.key.text();
  }
}

}  // namespace

Result<void> install_domicile(LocalContext& context, const LocalRegion& local,
                              const LocalPostgres& server) {
  const std::string inputs =
      TRY(fingerprint_of({context.config.application.catalog}, {build_mark()}));
  return context.once(local, "guard", inputs, "installing the guard in the database",
                      [&] { return guard(context, local, server); });
}

Result<void> install_registry(LocalContext& context, const LocalPostgres& master) {
  std::vector<std::string> texts = {build_mark()};
  for (const LocalRegion& local : context.config.regions) {
    texts.push_back(local.region.id.text() + " " + context.url(local));
    for (const auto& location : local.region.locations) texts.push_back(location.text());
  }
  const std::string inputs = TRY(fingerprint_of({}, texts));
  return context.once(context.config.master(), "registry", inputs,
                      "writing the regions into the registry",
                      [&] { return registry(context, master); });
}

Result<void> open_region(LocalContext& context, const LocalRegion& local,
                         const LocalPostgres& server, const LocalPostgres& master) {
  return context.once(local, "open", "1", "opening the region", [&]() -> Result<void> {
    auto connection = TRY(
        pg::Connection::open(server.dsn(context.config.application.name, context.role("node"))));
    const SystemClock clock;
    store::RegionStore region(connection, clock);
    TRY(region.reconcile(TRY(placements(context, local.region.id, master))));
    return {};
  });
}

Result<void> write_checks_file(LocalContext& context, const std::vector<LocalPostgres>& servers) {
  std::string text = fmt::format(
      "# Written by domicile up at every start: domicile check --config "
      "FILE\n\n[registry]\nsnapshot = "
      "\"regions/{}/node/state/registry.snapshot\"\n",
      context.config.master().region.id.text());
  const SystemClock clock;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const LocalRegion& local = context.config.regions[i];
    const std::string id = local.region.id.text();
    auto connection = TRY(pg::Connection::open(
        servers[i].dsn(context.config.application.name, context.role("node"))));
    const store::RegionStatus status = TRY(store::RegionStore(connection, clock).status());
    text += fmt::format(
        "\n[[region]]\nname = \"{}\"\ndsn_file = "
        "\"regions/{}/secrets/checker.dsn\"\nsystem_identifier = \"{}\"\n"
        "database_id = \"{}\"\nurl = \"{}\"\nca_file = \"ca.pem\"\nroles = [\"{}\", \"{}\"]\n"
        "server_log = \"{}, on this machine\"\n",
        id, id, status.system_identifier, status.database_id, context.url(local),
        context.role("installer"), reference_role(context, local),
        context.paths.log(id + "-postgresql").string());
  }
  return write_owned(context.paths.checks(), text, context.self, 0644);
}

}  // namespace domicile::app
