// RegistryStore over PostgreSQL: store/registry_sql.h on a small pool of connections.
#pragma once

#include "registry/registry_store.h"
#include "store/pg_pool.h"

namespace domicile::registry {

class PostgresqlStore final : public RegistryStore {
 public:
  struct Options {
    Secret dsn;  // of a member of domicile_registry_reader or _writer
    unsigned connections = 2;
  };
  // Does not connect yet.
  explicit PostgresqlStore(const Options& options);

  Result<RegistryHead> head() override;
  Result<RegistryDelta> changes(const RegistryHead& known, unsigned limit) override;
  Result<std::vector<domain::Region>> regions() override;
  Result<std::vector<store::RegionCount>> counts() override;
  Result<RegistryEntryDetails> show(const domain::OrgKey& key) override;
  Result<std::optional<domain::OrgKey>> key_of(const domain::Slug& slug) override;
  Result<std::vector<RegistryEntryDetails>> list(const RegistryFilter& filter) override;
  Result<RegistryChange> create(const std::string& operation, const domain::OrgKey& key,
                                const domain::Slug& slug, const domain::RegionId& region,
                                std::span<const domain::DomainHash> domains) override;
  Result<RegistryChange> place(const std::string& operation, const domain::OrgKey& key,
                               domain::Epoch expected, domain::PlacementState state) override;
  Result<RegistryChange> change_domains(const std::string& operation, const domain::OrgKey& key,
                                        std::span<const domain::DomainHash> adds,
                                        std::span<const domain::DomainHash> removes) override;
  Result<void> adopt_pepper(const Secret& pepper) override;

 private:
  template <typename Body>
  auto read(const Body& body);
  template <typename Body>
  Result<RegistryChange> write(const std::string& operation, const Body& body);
  store::PgPool pool_;
};

}  // namespace domicile::registry
