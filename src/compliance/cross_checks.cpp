#include "compliance/cross_checks.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace domicile::compliance {
namespace {

// Evenly over the keys, so that old and new organizations are both among them.
std::vector<std::string> sample_of(const std::vector<HomedOrganization>& homed, unsigned wanted) {
  std::vector<std::string> keys;
  const std::size_t count = std::min<std::size_t>(wanted, homed.size());
  for (std::size_t i = 0; i < count; ++i) keys.push_back(homed[i * homed.size() / count].key);
  return keys;
}

// A text[] literal; keys hold no quotes and no backslashes (domain/names.h).
std::string array_of(const std::vector<std::string>& keys) {
  return fmt::format("{{\"{}\"}}", fmt::join(keys, "\",\""));
}

struct Search {
  std::uint64_t lookups = 0;
  bool failed = false;
};

// The keys of `home` in every table of `abroad`.
void search(const RegionUnderCheck& home, RegionUnderCheck& abroad,
            const std::vector<std::string>& keys, Search& done) {
  for (const auto& table : abroad.facts.tables) {
    const auto rows = abroad.database->query("SELECT domicile.check_keys($1, $2, $3)",
                                             {table.schema, table.name, array_of(keys)});
    const std::string label = table.schema + "." + table.name;
    if (!rows) {
      abroad.findings->error("DOM-CAN-001", label, rows.error().message);
      done.failed = true;
      continue;
    }
    done.lookups += keys.size();
    for (int row = 0; row < rows->size(); ++row) {
      abroad.findings->fail("DOM-CAN-001", label,
                            fmt::format("holds rows of organization {}, which is homed in {}",
                                        rows->text(row, 0), home.config->name.text()));
    }
  }
}

void search_everywhere(RegionUnderCheck& abroad, std::vector<RegionUnderCheck>& regions,
                       unsigned sample) {
  if (abroad.database == nullptr || !abroad.facts.tables_known) {
    abroad.findings->not_run("DOM-CAN-001",
                             "this region's tables are not known: see its other results");
    return;
  }
  Search done;
  std::vector<std::string> without;
  for (const auto& home : regions) {
    if (home.config == abroad.config) continue;
    if (!home.facts.homed_known || home.facts.homed.empty()) {
      without.push_back(home.config->name.text());
      continue;
    }
    search(home, abroad, sample_of(home.facts.homed, sample), done);
  }
  if (!without.empty()) {
    abroad.findings->not_run(
        "DOM-CAN-001",
        fmt::format("nothing to look for from {}: no organization is known to be homed there",
                    fmt::join(without, ", ")));
  }
  if (done.lookups > 0) {
    abroad.findings->pass_unless_said(
        "DOM-CAN-001",
        fmt::format("{} look-ups in {} tables", done.lookups, abroad.facts.tables.size()),
        done.lookups);
  } else if (!abroad.findings->said("DOM-CAN-001")) {
    abroad.findings->not_run("DOM-CAN-001", "no table of organizations to look in");
  }
}

Result<bool> has_canary(pg::Connection& database, const Canary& canary) {
  const auto rows = TRY(database.query("SELECT domicile.check_canary($1, $2, $3, $4)",
                                       {canary.schema, canary.table, canary.column, canary.value}));
  return rows.boolean(0, 0);
}

void look_for(const Canary& canary, RegionUnderCheck& home,
              std::vector<RegionUnderCheck>& regions) {
  const std::string label = fmt::format("{}.{}.{}", canary.schema, canary.table, canary.column);
  for (auto& region : regions) {
    const bool at_home = region.config == home.config;
    if (region.database == nullptr) {
      region.findings->not_run(
          "DOM-CAN-002", fmt::format("the database was not reached: {} of {} was not looked for",
                                     label, home.config->name.text()));
      continue;
    }
    const auto found = has_canary(*region.database, canary);
    if (!found) {
      region.findings->error("DOM-CAN-002", label, found.error().message);
    } else if (*found == at_home) {
      region.findings->pass(
          "DOM-CAN-002", label,
          at_home ? "the canary is at home"
                  : fmt::format("no trace of the canary of {}", home.config->name.text()),
          1);
    } else if (at_home) {
      region.findings->fail("DOM-CAN-002", label,
                            "the canary is not at home: its absence elsewhere proves nothing");
    } else {
      region.findings->fail("DOM-CAN-002", label,
                            fmt::format("the canary of {} is here", home.config->name.text()));
    }
  }
}

}  // namespace

void check_lineage(std::vector<RegionUnderCheck>& regions) {
  for (auto& region : regions) {
    if (!region.facts.endpoint) {
      region.findings->not_run("DOM-EP-003", "the database did not say what it is");
      continue;
    }
    std::uint64_t compared = 0;
    for (const auto& other : regions) {
      if (other.config == region.config || !other.facts.endpoint) continue;
      ++compared;
      if (other.facts.endpoint->database_id == region.facts.endpoint->database_id) {
        region.findings->fail("DOM-EP-003", other.config->name.text(),
                              "it has the same database id");
      } else if (other.facts.endpoint->system_identifier ==
                 region.facts.endpoint->system_identifier) {
        region.findings->fail("DOM-EP-003", other.config->name.text(),
                              "it is on the same server, or one is a copy of the other's server");
      }
    }
    if (compared == 0) {
      region.findings->not_run("DOM-EP-003", "there is no other region to compare with");
    } else {
      region.findings->pass_unless_said(
          "DOM-EP-003", fmt::format("compared with {} other regions", compared), compared);
    }
  }
}

void check_canaries(std::vector<RegionUnderCheck>& regions, unsigned sample) {
  bool any = false;
  for (auto& region : regions) {
    if (regions.size() < 2) {
      region.findings->not_run("DOM-CAN-001", "there is no other region");
    } else {
      search_everywhere(region, regions, sample);
    }
    any = any || !region.config->canaries.empty();
  }
  for (auto& home : regions) {
    for (const auto& canary : home.config->canaries) look_for(canary, home, regions);
  }
  for (auto& region : regions) {
    if (!any) {
      region.findings->not_run(
          "DOM-CAN-002", "no canary is configured: plant a row and name it in [[region.canary]]");
    }
  }
}

}  // namespace domicile::compliance
