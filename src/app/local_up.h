// Local regions from one file: everything from an empty folder to doors that answer, and then
// watching over it. Every step is idempotent and recorded, so a run that was interrupted, or
// killed, goes on where it was.
#pragma once

#include <functional>

#include "app/local_context.h"
#include "base/result.h"

namespace domicile::app {

struct UpOptions {
  std::filesystem::path config;
  std::filesystem::path data;
  bool quiet = false;
};

// Starts, calls `started` once all regions answer, and stays until SIGTERM or SIGINT; then stops
// everything in order. Returns after that.
Result<void> run_regions(const UpOptions& options, Signals& signals, Progress& progress,
                         const std::function<void(LocalContext&)>& started);

// What a person, and a program, may want to know about them. Does not need them to run.
struct RegionReport {
  std::string id;
  bool master = false;
  std::string url;
  std::map<std::string, std::uint16_t> ports;
  std::map<std::string, bool> running;  // "postgresql", "node", "application"
};
std::vector<RegionReport> report(const LocalPaths& paths, const LocalState& state);

}  // namespace domicile::app
