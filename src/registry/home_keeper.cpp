#include "registry/home_keeper.h"

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::registry {
namespace {

constexpr const char* kComponent = "home-keeper";

HomeState wanted_here(domain::PlacementState state) {
  switch (state) {
    case domain::PlacementState::active: return HomeState::active;
    case domain::PlacementState::suspended: return HomeState::suspended;
    case domain::PlacementState::moving:
    case domain::PlacementState::closed: return HomeState::fenced;
  }
  return HomeState::fenced;
}

}  // namespace

HomeKeeper::HomeKeeper(HomeStore& store, const Clock& clock, Options options)
    : store_(store), clock_(clock), options_(std::move(options)) {}

HomeKeeper::~HomeKeeper() { stop(); }

void HomeKeeper::start() {
  thread_ = std::thread([this] { run(); });
}

void HomeKeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HomeKeeper::take(const Snapshot& snapshot) {
  {
    const std::lock_guard lock(mutex_);
    newest_ = snapshot;
  }
  changed_.notify_all();
}

std::optional<Readiness> HomeKeeper::readiness(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto found = applied_.find(key);
  if (found == applied_.end()) return std::nullopt;
  Readiness out{.served = false, .epoch = found->second.epoch, .problem = found->second.problem};
  const auto known = newest_ == nullptr ? std::nullopt : newest_->find(key);
  out.served = known && known->homed_in(options_.region.view()) &&
               known->state == domain::PlacementState::active &&
               found->second.state == HomeState::active && found->second.epoch == known->epoch;
  return out;
}

std::string HomeKeeper::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

Result<void> HomeKeeper::reload() {
  const auto rows = TRY(store_.organizations());
  const std::lock_guard lock(mutex_);
  applied_.clear();
  for (const Homed& row : rows)
    applied_[row.key] = {.epoch = row.epoch, .state = row.state, .problem = {}};
  loaded_ = true;
  loaded_at_ = clock_.steady();
  return {};
}

void HomeKeeper::note(const std::string& key, Applied applied) {
  const std::lock_guard lock(mutex_);
  applied_[key] = std::move(applied);
}

Result<void> HomeKeeper::make(const domain::OrgKey& key, domain::Epoch epoch, HomeState state) {
  Result<void> done{};
  std::string_view what = "fence";
  switch (state) {
    case HomeState::active:
      what = "home";
      done = store_.home(key, epoch);
      break;
    case HomeState::suspended:
      what = "suspend";
      done = store_.suspend(key, epoch);
      break;
    case HomeState::fenced: done = store_.fence(key, epoch); break;
  }
  if (done) {
    note(key.text(), {.epoch = epoch, .state = state, .problem = {}});
    if (options_.on_change) options_.on_change(what, key, epoch);
    return {};
  }
  Error error =
      std::move(done).error().within(fmt::format("cannot {} organization {}", what, key.view()));
  const std::lock_guard lock(mutex_);
  // What the store has stays as it was last known; an organization that never was here has epoch 0.
  applied_[key.text()].problem = error.message;
  return std::unexpected(std::move(error));
}

Result<void> HomeKeeper::apply(const domain::RegistrySnapshot& snapshot) {
  if (snapshot.registry_id().empty()) return {};
  if (!loaded_ || clock_.steady() - loaded_at_ >= options_.compare_every) TRY(reload());

  struct Step {
    domain::OrgKey key;
    domain::Epoch epoch;
    HomeState state;
  };
  std::vector<Step> steps;
  {
    const std::lock_guard lock(mutex_);
    snapshot.for_each([&](const domain::OrganizationView& o, std::span<const domain::DomainHash>) {
      const auto has = applied_.find(o.key);
      const bool here = o.homed_in(options_.region.view());
      const HomeState want = here ? wanted_here(o.state) : HomeState::fenced;
      if (has == applied_.end() || has->second.epoch == 0) {
        // Never here: nothing to withdraw, and nothing to suspend before it was ever homed.
        if (want == HomeState::active) steps.push_back({domain::OrgKey(o.key), o.epoch, want});
      } else if (has->second.state != want || (here && has->second.epoch != o.epoch)) {
        steps.push_back({domain::OrgKey(o.key), o.epoch, want});
      }
    });
    for (const auto& [key, has] : applied_) {
      if (has.epoch != 0 && has.state != HomeState::fenced && !snapshot.find(key)) {
        steps.push_back({domain::OrgKey(key), has.epoch, HomeState::fenced});
      }
    }
  }
  Result<void> first{};
  for (const Step& step : steps) {
    auto done = make(step.key, step.epoch, step.state);
    if (!done && first) first = done;
    if (!done && done.error().code == Code::unavailable) break;  // the same for all others
  }
  return first;
}

void HomeKeeper::run() {
  Snapshot applied;
  bool retry = false;
  for (;;) {
    Snapshot snapshot;
    {
      std::unique_lock lock(mutex_);
      const auto pause = retry ? options_.retry : options_.compare_every;
      changed_.wait_for(lock, pause, [&] { return stopping_ || newest_ != applied; });
      if (stopping_) return;
      snapshot = newest_;
    }
    if (snapshot == nullptr) continue;
    Result<void> done = fail(Code::internal, "");
    try {
      done = apply(*snapshot);
    } catch (const std::exception& error) {
      done = fail(Code::internal, error.what());
    }
    applied = snapshot;
    retry = !done;
    if (retry) loaded_ = false;  // what the store has is no longer sure
    const std::string problem = done ? "" : done.error().message;
    const std::lock_guard lock(mutex_);
    if (problem != problem_ && !problem.empty()) log_error(kComponent, problem);
    if (problem.empty() && !problem_.empty())
      log_info(kComponent, "the regional store agrees with the registry");
    problem_ = problem;
  }
}

}  // namespace domicile::registry
