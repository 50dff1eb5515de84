// HomeStore over the regional PostgreSQL: store::RegionStore on one connection that is opened when
// it is needed and dropped when it broke. One thread.
#pragma once

#include <memory>

#include "base/secret.h"
#include "registry/home_keeper.h"
#include "store/region_store.h"

namespace domicile::registry {

class PgHomeStore final : public HomeStore {
 public:
  struct Options {
    Secret dsn;  // of a member of domicile_node
    // A writer that does not end holds a fence up for this long, then its backend is ended: the
    // registry has decided already that the organization is not served here.
    std::chrono::milliseconds fence_deadline{30'000};
  };
  PgHomeStore(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

  Result<std::vector<HomedOrganization>> list() override;
  Result<void> home(const domain::OrgKey& key, domain::Epoch epoch) override;
  Result<void> fence(const domain::OrgKey& key, domain::Epoch epoch) override;

 private:
  template <typename Body>
  auto with_store(const Body& body) -> decltype(body(std::declval<store::RegionStore&>()));

  const Options options_;
  const Clock& clock_;
  std::unique_ptr<pg::Connection> connection_;
};

}  // namespace domicile::registry
