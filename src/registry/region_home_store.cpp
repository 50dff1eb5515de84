// HomeStore over the guarded regional database.
#include <optional>

#include "registry/home_keeper.h"
#include "store/region_store.h"

namespace domicile::registry {
namespace {

class RegionHomeStore final : public HomeStore {
 public:
  RegionHomeStore(Secret dsn, const Clock& clock) : dsn_(std::move(dsn)), clock_(clock) {}

  Result<std::vector<Homed>> organizations() override {
    std::vector<Homed> out;
    TRY(with([&](store::RegionStore& region) -> Result<void> {
      for (const auto& row : TRY(region.organizations())) {
        // The membership is what counts: a recorded state that disagrees with it is taken for the other one,
        // so that the keeper makes it right.
        HomeState state = row.state == "suspended" ? HomeState::suspended : HomeState::fenced;
        if (row.homed) state = HomeState::active;
        domain::Epoch epoch = row.epoch;
        if (row.homed != (row.state == "active") && epoch > 0) --epoch;
        out.push_back({.key = row.key.text(), .epoch = epoch, .state = state});
      }
      return {};
    }));
    return out;
  }

  Result<void> home(const domain::OrgKey& key, domain::Epoch epoch) override {
    return with([&](store::RegionStore& region) { return region.home(key, epoch); });
  }
  Result<void> suspend(const domain::OrgKey& key, domain::Epoch epoch) override {
    return with([&](store::RegionStore& region) -> Result<void> {
      TRY(region.suspend(key, epoch, kOptions));
      return {};
    });
  }
  Result<void> fence(const domain::OrgKey& key, domain::Epoch epoch) override {
    return with([&](store::RegionStore& region) -> Result<void> {
      TRY(region.fence(key, epoch, kOptions));
      return {};
    });
  }

 private:
  // The registry has decided already: backends that hold the fence up are ended, not waited for.
  static constexpr store::FenceOptions kOptions{
      .deadline = std::chrono::milliseconds(10'000),
      .past_deadline = store::FencePastDeadline::terminate};

  template <typename Body>
  Result<void> with(const Body& body) {
    if (!connection_) connection_ = TRY(pg::Connection::open(std::string(dsn_.reveal())));
    store::RegionStore region(*connection_, clock_);
    Result<void> done = body(region);
    if (!done && (done.error().reason.empty() || done.error().code == Code::unavailable))
      connection_.reset();
    return done;
  }

  Secret dsn_;
  const Clock& clock_;
  std::optional<pg::Connection> connection_;
};

}  // namespace

std::unique_ptr<HomeStore> region_home_store(Secret dsn, const Clock& clock) {
  return std::make_unique<RegionHomeStore>(std::move(dsn), clock);
}

}  // namespace domicile::registry
