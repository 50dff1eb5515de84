// Keeps an eye on the regional database: is it the one this node knows, and has it only ever gone
// forward? A promotion or a point-in-time restore changes the timeline, and the guard closes by
// itself (sql/region/0003_homed.sql). A restored snapshot keeps timeline and identifier; but it is
// behind the furthest position that this node has seen, which is kept in a file: then the watch
// closes the region until `domicile region reconcile` has compared it with the registry.
//
// It also renews the guard's quick check after a restart of the server, and tells when the
// application door has a new signing key. One thread; errors are logged once per cause and tried
// again.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/secret.h"
#include "store/region_store.h"

namespace domicile::registry {

class RegionWatch {
 public:
  struct Options {
    Secret dsn;                       // of a member of domicile_node
    domain::RegionId region;          // the database must say the same
    std::filesystem::path directory;  // database.mark lies here; must exist
    std::chrono::milliseconds interval{2'000};
  };
  // Runs on the watch's thread.
  using NewKey = std::function<void(const store::ContextKey&)>;

  // Looks once, in the caller's thread: Code::unavailable when the database cannot be reached,
  // Code::invalid when it is not this region's.
  static Result<std::unique_ptr<RegionWatch>> create(Options options, const Clock& clock);
  ~RegionWatch();
  RegionWatch(const RegionWatch&) = delete;
  RegionWatch& operator=(const RegionWatch&) = delete;

  const store::ContextKey& first_key() const;
  void start(NewKey on_key);
  // Success when the last look found the region open; else why not. For /readyz.
  Result<void> healthy() const;

 private:
  class Worker;
  explicit RegionWatch(std::unique_ptr<Worker> worker);
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::registry
