#include "registry/home_keeper.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::registry {
namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

struct Applied {
  domain::Epoch epoch = 0;
  bool active = false;
  friend bool operator==(const Applied&, const Applied&) = default;
};

}  // namespace

class HomeKeeper::Worker {
 public:
  Worker(HomeKeeperOptions options, HomeStore& store, domain::EventSink& events, const Clock& clock)
      : options_(std::move(options)),
        store_(store),
        events_(events),
        clock_(clock),
        thread_([this] { run(); }) {}

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void update(std::shared_ptr<const domain::RegistrySnapshot> snapshot) {
    if (snapshot->regions().empty()) return;
    {
      const std::lock_guard lock(mutex_);
      newest_ = std::move(snapshot);
      behind_ = "the registry has just changed";
    }
    wake_.notify_one();
  }

  Readiness readiness(std::string_view organization) const {
    const std::lock_guard lock(mutex_);
    if (newest_ == nullptr) return Readiness::unknown;
    const auto view = newest_->find(organization);
    if (!view) return Readiness::unknown;
    if (!view->homed_in(options_.region.view())) return Readiness::elsewhere;
    if (view->state != domain::PlacementState::active) return Readiness::not_active;
    const auto applied = applied_.find(organization);
    const bool ready = applied != applied_.end() && applied->second == Applied{view->epoch, true};
    return ready ? Readiness::ready : Readiness::pending;
  }

  Result<void> settled() const {
    const std::lock_guard lock(mutex_);
    if (behind_.empty()) return {};
    return fail(Code::unavailable, behind_, "keeper_behind");
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (newest_ == nullptr || (newest_ == done_ && behind_.empty())) {
        wake_.wait(lock);
        continue;
      }
      const auto snapshot = newest_;
      lock.unlock();
      Result<void> followed = follow(*snapshot);
      if (!followed) log_warning("keeper", followed.error().message);
      lock.lock();
      done_ = snapshot;
      if (newest_ == snapshot) behind_ = followed ? "" : followed.error().message;
      if (!followed && !stopping_) wake_.wait_for(lock, options_.retry);
    }
  }

  // One pass over the registry; the first failure is returned, but holds up nobody else.
  Result<void> follow(const domain::RegistrySnapshot& snapshot) {
    if (!loaded_) {
      TRY(load(snapshot));
      loaded_ = true;
    }
    Result<void> outcome;
    snapshot.for_each(
        [&](const domain::OrganizationView& view, std::span<const domain::DomainHash>) {
          const bool here = view.homed_in(options_.region.view());
          const bool active = here && view.state == domain::PlacementState::active;
          const auto applied = applied_.find(view.key);  // this thread alone writes applied_
          const Applied wanted{view.epoch, active};
          if (applied == applied_.end() ? !active : applied->second == wanted) return;
          if (Result<void> done = apply(view, wanted); !done && outcome) {
            outcome = std::unexpected(
                std::move(done).error().within(fmt::format("organization {}", view.key)));
            // The database may have been replaced behind us: look again before the next attempt.
            loaded_ = false;
          }
        });
    return outcome;
  }

  Result<void> load(const domain::RegistrySnapshot& snapshot) {
    const auto homed = TRY(store_.list());
    const std::lock_guard lock(mutex_);
    applied_.clear();
    std::size_t strangers = 0;
    for (const HomedOrganization& one : homed) {
      applied_[one.key.text()] = Applied{one.epoch, one.active};
      if (!snapshot.find(one.key)) ++strangers;
    }
    if (strangers > 0) {
      log_warning(
          "keeper",
          fmt::format("the database homes {} organizations that the registry does not know; "
                      "`domicile check` names them",
                      strangers));
    }
    return {};
  }

  Result<void> apply(const domain::OrganizationView& view, Applied wanted) {
    const domain::OrgKey key(view.key);
    TRY(events_.record({.kind = domain::EventKind::organization_changed,
                        .outcome = domain::Outcome::allowed,
                        .activity = domain::Activity::update,
                        .time = clock_.now(),
                        .region = options_.region,
                        .organization = key,
                        .operation = wanted.active ? "organization.home" : "organization.fence",
                        .resource = "organization",
                        .epoch = wanted.epoch,
                        .details = {{"registry_revision", fmt::format("{}", view.revision)}}}));
    TRY(wanted.active ? store_.home(key, wanted.epoch) : store_.fence(key, wanted.epoch));
    const std::lock_guard lock(mutex_);
    applied_[key.text()] = wanted;
    return {};
  }

  const HomeKeeperOptions options_;
  HomeStore& store_;
  domain::EventSink& events_;
  const Clock& clock_;
  bool loaded_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<const domain::RegistrySnapshot> newest_, done_;
  std::unordered_map<std::string, Applied, TextHash, std::equal_to<>> applied_;
  std::string behind_ = "no registry snapshot yet";
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything is there
};

HomeKeeper::HomeKeeper(HomeKeeperOptions options, HomeStore& store, domain::EventSink& events,
                       const Clock& clock)
    : worker_(std::make_unique<Worker>(std::move(options), store, events, clock)) {}
HomeKeeper::~HomeKeeper() = default;
void HomeKeeper::update(std::shared_ptr<const domain::RegistrySnapshot> snapshot) {
  worker_->update(std::move(snapshot));
}
Readiness HomeKeeper::readiness(std::string_view organization) const {
  return worker_->readiness(organization);
}
Result<void> HomeKeeper::settled() const { return worker_->settled(); }

}  // namespace domicile::registry
