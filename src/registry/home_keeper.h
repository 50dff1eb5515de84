// Makes the regional store agree with the registry: what is homed here is homed with its epoch, what
// is suspended, frozen, closed or homed elsewhere is withdrawn. A thread applies every new snapshot;
// each step is idempotent, so that a crash, a lost connection or a closed region only delays it. From
// time to time everything is compared with the database anew, in case somebody changed it by hand.
//
// An organization that the store has and the registry does not know is fenced too: unclassified means
// forbidden. Nothing is done under an empty snapshot (no registry was ever reached).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/registry_snapshot.h"

namespace domicile::registry {

enum class HomeState { active, suspended, fenced };

struct Homed {
  std::string key;
  domain::Epoch epoch = 0;
  HomeState state = HomeState::fenced;
};

// What the keeper needs of a regional store. One thread.
class HomeStore {
 public:
  virtual ~HomeStore() = default;
  virtual Result<std::vector<Homed>> organizations() = 0;
  virtual Result<void> home(const domain::OrgKey& key, domain::Epoch epoch) = 0;
  virtual Result<void> suspend(const domain::OrgKey& key,
                               domain::Epoch epoch) = 0;  // returns when nobody can write
  virtual Result<void> fence(const domain::OrgKey& key, domain::Epoch epoch) = 0;
};

// HomeStore over store::RegionStore, with a connection of its own that is opened when needed.
std::unique_ptr<HomeStore> region_home_store(Secret dsn, const Clock& clock);

// How far this region is with an organization.
struct Readiness {
  bool served = false;  // the store is as the registry wants it, and that is: homed here and active
  domain::Epoch epoch = 0;  // in the store
  std::string problem;      // why not, for operators
};

class HomeKeeper {
 public:
  using Snapshot = std::shared_ptr<const domain::RegistrySnapshot>;
  struct Options {
    domain::RegionId region;
    std::chrono::milliseconds retry{1'000};
    std::chrono::milliseconds compare_every{60'000};
    // Told of each change that was made: "home", "suspend" or "fence", key, epoch. On the keeper's
    // thread; may be empty.
    std::function<void(std::string_view change, const domain::OrgKey& key, domain::Epoch epoch)>
        on_change;
  };

  // Store and clock outlive the keeper.
  HomeKeeper(HomeStore& store, const Clock& clock, Options options);
  ~HomeKeeper();

  void start();
  void stop();
  void take(const Snapshot& snapshot);  // any thread; for Follower::subscribe()

  std::optional<Readiness> readiness(std::string_view key) const;  // nullopt: not known here
  // The last complete pass: "" when everything agrees, else what does not.
  std::string problem() const;

  // One pass in the caller's thread; not while the thread runs. Code of the first failure.
  Result<void> apply(const domain::RegistrySnapshot& snapshot);

 private:
  struct Applied {
    domain::Epoch epoch = 0;
    HomeState state = HomeState::fenced;
    std::string problem;
  };
  void run();
  Result<void> reload();
  Result<void> make(const domain::OrgKey& key, domain::Epoch epoch, HomeState state);
  void note(const std::string& key, Applied applied);

  HomeStore& store_;
  const Clock& clock_;
  const Options options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Snapshot newest_;
  bool stopping_ = false;
  std::map<std::string, Applied, std::less<>> applied_;  // what the store has
  std::string problem_;

  bool loaded_ = false;  // of the keeper's thread
  SteadyTime loaded_at_{};
  std::thread thread_;
};

}  // namespace domicile::registry
