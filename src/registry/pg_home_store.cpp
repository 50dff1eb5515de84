#include "registry/pg_home_store.h"

namespace domicile::registry {

template <typename Body>
auto PgHomeStore::with_store(const Body& body)
    -> decltype(body(std::declval<store::RegionStore&>())) {
  if (connection_ == nullptr) {
    connection_ = std::make_unique<pg::Connection>(
        TRY(pg::Connection::open(std::string(options_.dsn.reveal()))));
  }
  store::RegionStore store(*connection_, clock_);
  auto done = body(store);
  if (!done && done.error().code == Code::unavailable) connection_.reset();
  return done;
}

Result<std::vector<HomedOrganization>> PgHomeStore::list() {
  return with_store([](store::RegionStore& store) -> Result<std::vector<HomedOrganization>> {
    std::vector<HomedOrganization> out;
    for (auto& one : TRY(store.organizations())) {
      // Membership is what counts: whoever lost it by hand is homed again, or fenced for good.
      out.push_back({std::move(one.key), one.epoch, one.homed && one.state == "active"});
    }
    return out;
  });
}

Result<void> PgHomeStore::home(const domain::OrgKey& key, domain::Epoch epoch) {
  return with_store([&](store::RegionStore& store) { return store.home(key, epoch); });
}

Result<void> PgHomeStore::fence(const domain::OrgKey& key, domain::Epoch epoch) {
  return with_store([&](store::RegionStore& store) -> Result<void> {
    TRY(store.fence(key, epoch,
                    {.deadline = options_.fence_deadline,
                     .past_deadline = store::FencePastDeadline::terminate}));
    return {};
  });
}

}  // namespace domicile::registry
