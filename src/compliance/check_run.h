// Runs every check in every region of a configuration, one after the other, from one thread.
// Regions that cannot be reached are reported as such; nothing is skipped in silence: each region
// has a result for each check that was not excluded on purpose.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "compliance/check.h"
#include "compliance/check_config.h"
#include "domain/registry_snapshot.h"

namespace domicile::compliance {

struct CheckRunOptions {
  const Clock* clock = nullptr;                      // outlives the run
  std::function<void(const std::string&)> progress;  // may be empty
  std::shared_ptr<const domain::RegistrySnapshot>
      registry;  // config.registry_snapshot, read; may be null
};

// Code::invalid when a DSN file cannot be used; then nothing was asked of anybody.
Result<CheckReport> run_checks(const CheckConfig& config, const CheckRunOptions& options);

// Submits each result to the ledger of its region (event_directory). An error names the folder.
Result<std::uint64_t> record_findings(const CheckReport& report, const CheckConfig& config,
                                      const Clock& clock);

}  // namespace domicile::compliance
