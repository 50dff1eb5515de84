// What every part of the set-up shares: the configuration, where things lie, who runs what, and
// once(), which does a step that has not been done with these inputs and remembers it.
#pragma once

#include <functional>
#include <string>

#include "app/local_config.h"
#include "app/local_ports.h"
#include "app/local_process.h"
#include "app/local_progress.h"
#include "app/local_signals.h"
#include "app/local_state.h"
#include "base/result.h"

namespace domicile::app {

struct LocalContext {
  LocalConfig config;
  LocalPaths paths;
  LocalState state;
  Account self;        // who runs this process
  Account postgresql;  // the same as self unless that is root
  Account node;
  Account application;
  Signals& signals;
  Progress& progress;
  PortClaims claims{};  // for as long as the regions run

  RegionState& of(const LocalRegion& region) { return state.regions[region.region.id.text()]; }
  std::uint16_t port(const LocalRegion& region, const std::string& kind) {
    return of(region).ports[kind];
  }
  std::string url(const LocalRegion& region);  // of its door

  std::string role(std::string_view suffix) const {
    return config.application.name + "_" + std::string(suffix);
  }

  // Does `body` unless `step` was done with this fingerprint, says `doing` before, records it
  // after.
  Result<void> once(const LocalRegion& region, const std::string& step,
                    const std::string& fingerprint, const std::string& doing,
                    const std::function<Result<void>()>& body);
};

// SHA-256 over files' contents and texts, for once().
Result<std::string> fingerprint_of(const std::vector<std::filesystem::path>& files,
                                   const std::vector<std::string>& texts = {});

}  // namespace domicile::app
