#include "compliance/check_run.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "audit/ledger.h"
#include "base/check.h"
#include "base/file.h"
#include "compliance/cross_checks.h"
#include "store/placement_list.h"

namespace domicile::compliance {
namespace {

struct Opened {
  std::optional<pg::Connection> database;
  std::string why_not;
};

Result<std::string> dsn_of(const CheckedRegion& region) {
  // A DSN may hold a password, so the file is held to a secret's rules.
  const Secret dsn = TRY(read_secret_file(region.dsn_file));
  std::string text(dsn.reveal());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.empty())
    return fail(Code::invalid, fmt::format("{} holds no DSN", region.dsn_file.string()));
  return text;
}

Opened open(const std::string& dsn) {
  Opened opened;
  auto connection = pg::Connection::open(dsn);
  if (!connection) {
    opened.why_not = connection.error().message;
    return opened;
  }
  // A check reads. It must not wait for ever behind somebody's lock.
  const auto ready = connection->script(
      "SET default_transaction_read_only = on; SET lock_timeout = '10s'; SET statement_timeout = "
      "'15min'");
  if (!ready) {
    opened.why_not = ready.error().message;
    return opened;
  }
  opened.database = std::move(*connection);
  return opened;
}

// The registry's word for one region: its own list, or what a node's snapshot says.
Result<std::optional<RegistryHomes>> homes_of(const CheckedRegion& region,
                                              const domain::RegistrySnapshot* registry) {
  RegistryHomes homes;
  if (!region.placements.empty()) {
    const auto text = TRY(read_file(region.placements));
    auto list = store::parse_placement_list(text, domain::KeyType::text);
    if (!list) return std::unexpected(std::move(list.error()).within(region.placements.string()));
    homes.revision = list->revision;
    for (const auto& placed : list->organizations) {
      if (!placed.suspended) {
        homes.epochs.emplace(placed.key.text(), placed.epoch);
      }
    }
    return homes;
  }
  if (registry == nullptr) return std::optional<RegistryHomes>();
  homes.revision = registry->revision();
  registry->for_each(
      [&](const domain::OrganizationView& organization, std::span<const domain::DomainHash>) {
        if (organization.homed_in(region.name.view()) &&
            organization.state == domain::PlacementState::active) {
          homes.epochs.emplace(organization.key, organization.epoch);
        }
      });
  return homes;
}

void check_database(RegionUnderCheck& region, const std::optional<RegistryHomes>& registry) {
  pg::Connection& database = *region.database;
  check_endpoint(database, *region.config, *region.findings, region.facts);
  check_violations(database, *region.config, *region.findings);
  check_server(database, *region.config, *region.findings);
  check_homed(database, registry, *region.findings, region.facts);
  check_guard(database, *region.findings, region.facts);
  check_reference(database, *region.findings);
  check_tables(database, *region.findings, region.facts);
}

bool excluded(const CheckConfig& config, std::string_view id) {
  return std::ranges::any_of(config.exclude,
                             [&](const std::string& prefix) { return id.starts_with(prefix); });
}

void collect(std::vector<std::unique_ptr<Findings>>& findings, const CheckConfig& config,
             CheckReport& report) {
  for (auto& each : findings) {
    for (const auto& check : check_definitions()) {
      if (!each->said(check.id)) each->not_run(check.id, "nothing was reported");
    }
    auto results = each->take();
    std::erase_if(results, [&](const CheckResult& r) { return excluded(config, r.id); });
    std::ranges::sort(results, [](const CheckResult& a, const CheckResult& b) {
      return std::tie(a.id, a.resource, a.observed) < std::tie(b.id, b.resource, b.observed);
    });
    std::ranges::move(results, std::back_inserter(report.results));
  }
}

}  // namespace

Result<CheckReport> run_checks(const CheckConfig& config, const CheckRunOptions& options) {
  CHECK(options.clock != nullptr);
  const auto say = [&](const std::string& text) {
    if (options.progress) options.progress(text);
  };
  std::vector<std::string> dsns;
  std::vector<std::optional<RegistryHomes>> homes;
  for (const auto& region : config.regions) {
    dsns.push_back(TRY(dsn_of(region)));
    homes.push_back(TRY(homes_of(region, options.registry.get())));
  }

  CheckReport report;
  report.started = options.clock->now();
  report.excluded = config.exclude;
  std::vector<std::unique_ptr<Findings>> findings;
  std::vector<Opened> opened;
  std::vector<RegionUnderCheck> regions;
  opened.reserve(config.regions.size());
  for (std::size_t i = 0; i < config.regions.size(); ++i) {
    const auto& region = config.regions[i];
    report.regions.push_back(region.name.text());
    findings.push_back(std::make_unique<Findings>(region.name.text(), config.accepted,
                                                  options.clock->unix_seconds()));
    say(fmt::format("{}: looking at the database", region.name.text()));
    opened.push_back(open(dsns[i]));
    regions.push_back({.config = &region,
                       .database = opened.back().database ? &*opened.back().database : nullptr,
                       .facts = {},
                       .findings = findings.back().get()});
    if (opened.back().database) {
      check_database(regions.back(), homes[i]);
    } else {
      for (const auto id : database_check_ids())
        findings.back()->not_run(id, "the database was not reached: " + opened.back().why_not);
    }
  }
  say("comparing the regions with each other");
  check_lineage(regions);
  check_canaries(regions, config.sample);
  say("sending probes to the doors");
  check_routing(regions);
  collect(findings, config, report);
  report.finished = options.clock->now();
  return report;
}

Result<std::uint64_t> record_findings(const CheckReport& report, const CheckConfig& config,
                                      const Clock& clock) {
  std::uint64_t recorded = 0;
  for (const auto& region : config.regions) {
    if (region.event_directory.empty()) continue;
    audit::LedgerOptions options;
    options.directory = region.event_directory;
    options.region = region.name;
    options.clock = &clock;
    options.origin = "domicile/" + region.name.text() + "/check";  // a log of its own
    auto ledger = TRY(audit::Ledger::open(std::move(options)));
    std::vector<const CheckResult*> of_region;
    for (const auto& result : report.results) {
      if (result.region == region.name.text()) of_region.push_back(&result);
    }
    for (std::size_t i = 0; i < of_region.size(); ++i) {
      auto event = finding_event(*of_region[i], report.finished, region.name);
      if (i + 1 < of_region.size()) {
        ledger->submit(std::move(event), [](Result<std::uint64_t>) {});
      } else {
        TRY(ledger->record(std::move(event)));  // the last one waits, and with it all before it
      }
    }
    const auto stats = ledger->stats();
    if (stats.failed + stats.refused > 0) {
      return fail(Code::unavailable,
                  fmt::format("{}: {} findings could not be stored",
                              region.event_directory.string(), stats.failed + stats.refused));
    }
    recorded += of_region.size();
  }
  return recorded;
}

}  // namespace domicile::compliance
