#include "registry/install.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/migrations.h"
#include "store/registry_sql.h"

namespace domicile::registry {
namespace {

Result<void> grant(pg::Connection& connection, const std::string& group,
                   const std::vector<std::string>& roles, bool dry_run, InstallReport& report) {
  for (const std::string& role : roles) {
    const pg::Rows rows =
        TRY(connection.query("SELECT pg_has_role(m.oid, g.oid, 'member') FROM pg_roles m LEFT JOIN "
                             "pg_roles g ON g.rolname = $2"
                             " WHERE m.rolname = $1",
                             {role, group}));
    if (rows.size() == 0) {
      return fail(Code::invalid,
                  fmt::format("there is no database role {}; create it first, with LOGIN", role));
    }
    if (rows.boolean(0, 0)) continue;
    report.done.push_back(fmt::format("grant {} to {}", group, role));
    if (dry_run) continue;
    TRY(connection.script(fmt::format("GRANT {} TO {}", group, pg::quote_identifier(role))));
  }
  return {};
}

// What putting the file into the registry would change, for --dry-run.
Result<void> compare(pg::Connection& connection, const RegistryFile& file, InstallReport& report) {
  const auto known = TRY(store::registry_regions(connection));
  for (const auto& region : file.regions) {
    const auto same = std::ranges::find(known, region.id, &domain::Region::id);
    if (same == known.end()) report.done.push_back(fmt::format("add region {}", region.id.view()));
    if (same != known.end() && *same != region)
      report.done.push_back(fmt::format("change region {}", region.id.view()));
  }
  return {};
}

Result<void> put(pg::Connection& connection, const RegistryFile& file, InstallReport& report) {
  return connection.transaction([&]() -> Result<void> {
    for (const Jurisdiction& jurisdiction : file.jurisdictions) {
      if (TRY(store::registry_put_jurisdiction(connection, jurisdiction.id,
                                               jurisdiction.locations))) {
        report.done.push_back(fmt::format("jurisdiction {}", jurisdiction.id.view()));
      }
    }
    // The master first: the database refuses a second one.
    for (const bool master : {true, false}) {
      for (const auto& region : file.regions) {
        if (region.master != master) continue;
        if (TRY(store::registry_put_region(connection, region))) {
          report.done.push_back(
              fmt::format("region {}{}", region.id.view(), master ? " (master)" : ""));
        }
      }
    }
    return {};
  });
}

}  // namespace

Result<InstallReport> install_registry(pg::Connection& connection, const InstallOptions& options) {
  InstallReport report;
  const auto migrated = TRY(store::migrate(
      connection, {.set = "control", .schema = "domicile_registry", .dry_run = options.dry_run}));
  for (const auto& step : migrated.pending)
    report.done.push_back(fmt::format("schema: {}", step.name));
  const bool fresh = options.dry_run && migrated.already == 0;
  if (fresh) {
    for (const auto& region : options.file.regions)
      report.done.push_back(fmt::format("add region {}", region.id.view()));
  } else if (options.dry_run) {
    TRY(compare(connection, options.file, report));
  } else {
    TRY(put(connection, options.file, report));
  }
  if (fresh) return report;  // the groups are not there yet
  TRY(grant(connection, "domicile_registry_reader", options.readers, options.dry_run, report));
  TRY(grant(connection, "domicile_registry_writer", options.writers, options.dry_run, report));
  return report;
}

}  // namespace domicile::registry
