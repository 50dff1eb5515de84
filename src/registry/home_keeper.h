// Makes the regional database agree with the registry: organizations that are active and homed in
// this region are homed in the database under their epoch; those that are suspended, moving, closed
// or homed elsewhere are fenced. Idempotent: it compares and acts on differences only, after a
// restart too.
//
// An organization that the database knows and the registry does not is left as it is and counted: a
// registry that lost its memory must not take a region down, and `domicile check` reports it.
//
// One thread. A change that fails is tried again after `retry`, others are not held up by it. Every
// homing and fencing is an event, durable before the act. What was done is told by readiness(),
// which any thread may ask: an organization is ready when the database homes it under the
// registry's epoch.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"
#include "domain/registry_snapshot.h"

namespace domicile::registry {

struct HomedOrganization {
  domain::OrgKey key;
  domain::Epoch epoch = 0;
  bool active = false;  // false: fenced
};

// The keeper's view of the regional database. Calls may block; one thread.
class HomeStore {
 public:
  virtual ~HomeStore() = default;
  virtual Result<std::vector<HomedOrganization>> list() = 0;
  virtual Result<void> home(const domain::OrgKey& key, domain::Epoch epoch) = 0;
  // Returns once no writer of before can commit any more.
  virtual Result<void> fence(const domain::OrgKey& key, domain::Epoch epoch) = 0;
};

struct HomeKeeperOptions {
  domain::RegionId region;
  std::chrono::milliseconds retry{2000};
};

enum class Readiness {
  unknown,     // not in the registry's snapshot
  elsewhere,   // homed in another region
  not_active,  // homed here, but suspended, moving or closed; the database refuses its writers
  pending,     // the database does not follow the registry yet
  ready,
};

class HomeKeeper {
 public:
  // All references outlive the keeper. Starts its thread; it waits for the first update().
  HomeKeeper(HomeKeeperOptions options, HomeStore& store, domain::EventSink& events,
             const Clock& clock);
  ~HomeKeeper();
  HomeKeeper(const HomeKeeper&) = delete;
  HomeKeeper& operator=(const HomeKeeper&) = delete;

  // Any thread. A snapshot without a region is no registry yet and is ignored.
  void update(std::shared_ptr<const domain::RegistrySnapshot> snapshot);
  Readiness readiness(std::string_view organization) const;
  // Success when the database follows the newest snapshot; else what holds it up. For /readyz.
  Result<void> settled() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace domicile::registry
