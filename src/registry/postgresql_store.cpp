#include "registry/postgresql_store.h"

#include <optional>

#include "store/registry_domain_hash.h"

namespace domicile::registry {

PostgresqlStore::PostgresqlStore(const Options& options)
    : pool_({.dsn = std::string(options.dsn.reveal()),
             .connections = options.connections,
             .wait = std::chrono::milliseconds(2000),
             .on_open = {"SET statement_timeout = '15s'", "SET lock_timeout = '10s'"}}) {}

template <typename Body>
auto PostgresqlStore::read(const Body& body) {
  using Answer = decltype(body(std::declval<pg::Connection&>()));
  std::optional<Answer> answer;
  const auto done =
      pool_.run(store::PgPool::Retry::once, [&](pg::Connection& connection) -> Result<void> {
        answer = body(connection);
        if (!*answer) return std::unexpected(answer->error());
        return {};
      });
  if (!done) return Answer(std::unexpected(done.error()));
  return std::move(*answer);
}

template <typename Body>
Result<RegistryChange> PostgresqlStore::write(const std::string& operation, const Body& body) {
  RegistryChange change;
  // Under an operation id the second attempt finds what the first has done.
  const auto retry = operation.empty() ? store::PgPool::Retry::never : store::PgPool::Retry::once;
  auto done = pool_.run(retry, [&](pg::Connection& connection) -> Result<void> {
    change = TRY(body(connection));
    return {};
  });
  if (done) return change;
  Error error = std::move(done).error();
  if (error.code == Code::unavailable || error.code == Code::timeout) {
    error.message +=
        operation.empty()
            ? "; whether the change was made is not known: look (domicile org show), or repeat it "
              "with "
              "an --operation-id"
            : "; repeat it with the same operation id: it is done once, however often it is sent";
  }
  return std::unexpected(std::move(error));
}

Result<RegistryHead> PostgresqlStore::head() {
  return read([](pg::Connection& c) { return store::registry_head(c); });
}
Result<RegistryDelta> PostgresqlStore::changes(const RegistryHead& known, unsigned limit) {
  return read([&](pg::Connection& c) { return store::registry_changes(c, known, limit); });
}
Result<std::vector<domain::Region>> PostgresqlStore::regions() {
  return read([](pg::Connection& c) { return store::registry_regions(c); });
}
Result<std::vector<store::RegionCount>> PostgresqlStore::counts() {
  return read([](pg::Connection& c) { return store::registry_counts(c); });
}
Result<RegistryEntryDetails> PostgresqlStore::show(const domain::OrgKey& key) {
  return read([&](pg::Connection& c) { return store::registry_show(c, key); });
}
Result<std::optional<domain::OrgKey>> PostgresqlStore::key_of(const domain::Slug& slug) {
  return read([&](pg::Connection& c) { return store::registry_key_of_slug(c, slug); });
}
Result<std::vector<RegistryEntryDetails>> PostgresqlStore::list(const RegistryFilter& filter) {
  return read([&](pg::Connection& c) { return store::registry_list(c, filter); });
}

Result<RegistryChange> PostgresqlStore::create(const std::string& operation,
                                               const domain::OrgKey& key, const domain::Slug& slug,
                                               const domain::RegionId& region,
                                               std::span<const domain::DomainHash> domains) {
  return write(operation, [&](pg::Connection& c) {
    return store::registry_create(c, operation, key, slug, region, domains);
  });
}
Result<RegistryChange> PostgresqlStore::place(const std::string& operation,
                                              const domain::OrgKey& key, domain::Epoch expected,
                                              domain::PlacementState state) {
  return write(operation, [&](pg::Connection& c) {
    return store::registry_place(c, operation, key, expected, state);
  });
}
Result<RegistryChange> PostgresqlStore::change_domains(
    const std::string& operation, const domain::OrgKey& key,
    std::span<const domain::DomainHash> adds, std::span<const domain::DomainHash> removes) {
  return write(operation, [&](pg::Connection& c) {
    return store::registry_change_domains(c, operation, key, adds, removes);
  });
}

Result<void> PostgresqlStore::adopt_pepper(const Secret& pepper) {
  const auto fingerprint = TRY(store::registry_pepper_fingerprint(pepper));
  return pool_.run(store::PgPool::Retry::once, [&](pg::Connection& connection) {
    return store::registry_adopt_pepper(connection, fingerprint);
  });
}

}  // namespace domicile::registry
