#include "store/registry_sql.h"

#include <fmt/format.h>

#include "store/registry_errors.h"

namespace domicile::store {
namespace {

using domain::DomainHash;

constexpr const char* kOrganization =
    "SELECT o.key, o.slug, o.region, o.epoch, o.state, o.revision,"
    " (SELECT string_agg(encode(d.domain, 'hex'), ' ' ORDER BY d.domain)"
    "  FROM domicile_registry.organization_domain d WHERE d.organization = o.key),"
    " to_char(o.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    " to_char(o.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    " FROM domicile_registry.organization o";

template <typename Visit>
void each_word(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const auto space = text.find(' ');
    visit(text.substr(0, space));
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  }
}

Result<RegistryEntry> entry_at(const pg::Rows& rows, int row) {
  RegistryEntry entry;
  entry.organization.key = domain::OrgKey(rows.text(row, 0));
  entry.organization.slug = domain::Slug(rows.text(row, 1));
  entry.organization.placement.region = domain::RegionId(rows.text(row, 2));
  entry.organization.placement.epoch = static_cast<domain::Epoch>(rows.integer(row, 3));
  entry.organization.placement.state = TRY(domain::parse_placement_state(rows.text(row, 4)));
  entry.organization.revision = static_cast<std::uint64_t>(rows.integer(row, 5));
  each_word(rows.text(row, 6),
            [&](std::string_view hex) { entry.domains.push_back(registry_hash_of(hex)); });
  return entry;
}

Result<RegistryEntryDetails> details_at(const pg::Rows& rows, int row) {
  RegistryEntryDetails details;
  details.entry = TRY(entry_at(rows, row));
  details.created_at = rows.text(row, 7);
  details.changed_at = rows.text(row, 8);
  return details;
}

Result<RegistryHead> read_head(pg::Connection& connection) {
  const pg::Rows rows = TRY(connection.query(
      "SELECT registry_id, revision, encode(chain, 'hex') FROM domicile_registry.registry"));
  if (rows.size() != 1)
    return fail(Code::invalid, "the registry has no identity row", "not_a_registry");
  RegistryHead head;
  head.registry_id = rows.text(0, 0);
  head.revision = static_cast<std::uint64_t>(rows.integer(0, 1));
  head.chain = registry_hash_of(rows.text(0, 2));
  return head;
}

Result<domain::RegistryChain> chain_at(pg::Connection& connection, std::uint64_t revision) {
  const pg::Rows rows = TRY(connection.query(
      "SELECT encode(chain, 'hex') FROM domicile_registry.change WHERE revision = $1",
      {fmt::format("{}", revision)}));
  if (rows.size() != 1) {
    return fail(Code::conflict, fmt::format("the registry has no record of revision {}", revision),
                "registry_diverged");
  }
  return registry_hash_of(rows.text(0, 0));
}

Result<void> compare(pg::Connection& connection, const RegistryHead& known,
                     const RegistryHead& head) {
  if (known.revision == 0) return {};
  if (known.registry_id != head.registry_id) {
    return fail(Code::conflict,
                fmt::format("this is registry {}, not registry {} which was followed so far",
                            head.registry_id, known.registry_id),
                "registry_diverged");
  }
  if (known.revision > head.revision) {
    return fail(Code::conflict,
                fmt::format("the registry is at revision {}, but revision {} has been seen: it was "
                            "restored from a backup",
                            head.revision, known.revision),
                "registry_went_back");
  }
  if (TRY(chain_at(connection, known.revision)) != known.chain) {
    return fail(Code::conflict,
                fmt::format("the registry's history differs at revision {}: it was restored from a "
                            "backup and went on",
                            known.revision),
                "registry_diverged");
  }
  return {};
}

Result<std::vector<domain::Region>> read_regions(pg::Connection& connection) {
  const pg::Rows rows =
      TRY(connection.query("SELECT id, jurisdiction, array_to_string(locations, ' '), url, master "
                           "FROM domicile_registry.region ORDER BY id"));
  std::vector<domain::Region> regions;
  for (int row = 0; row < rows.size(); ++row) {
    domain::Region region;
    region.id = domain::RegionId(rows.text(row, 0));
    region.jurisdiction = domain::JurisdictionId(rows.text(row, 1));
    each_word(rows.text(row, 2),
              [&](std::string_view location) { region.locations.emplace_back(location); });
    region.url = rows.text(row, 3);
    region.master = rows.boolean(row, 4);
    regions.push_back(std::move(region));
  }
  return regions;
}

Result<RegistryChange> changed(Result<pg::Rows> answer) {
  const pg::Rows rows = TRY(registry_result(std::move(answer)));
  return RegistryChange{.revision = static_cast<std::uint64_t>(rows.integer(0, 0)),
                        .epoch = static_cast<domain::Epoch>(rows.integer(0, 1)),
                        .replayed = rows.boolean(0, 2)};
}

pg::Param optional_text(const std::string& text) {
  return text.empty() ? pg::Param() : pg::Param(text);
}

}  // namespace

Result<RegistryHead> registry_head(pg::Connection& connection) {
  return registry_result(read_head(connection));
}

Result<RegistryDelta> registry_changes(pg::Connection& connection, const RegistryHead& known,
                                       unsigned limit) {
  RegistryDelta delta;
  // One snapshot for all queries: head, regions and organizations belong together.
  const auto done = connection.transaction(
      [&]() -> Result<void> {
        delta.head = TRY(read_head(connection));
        TRY(compare(connection, known, delta.head));
        delta.regions = TRY(read_regions(connection));
        const pg::Rows rows = TRY(connection.query(
            fmt::format("{} WHERE o.revision > $1 ORDER BY o.revision LIMIT $2", kOrganization),
            {fmt::format("{}", known.revision), fmt::format("{}", limit + 1)}));
        delta.more = rows.size() > static_cast<int>(limit);
        const int count = delta.more ? static_cast<int>(limit) : rows.size();
        for (int row = 0; row < count; ++row)
          delta.organizations.push_back(TRY(entry_at(rows, row)));
        if (delta.more && count > 0) {
          delta.head.revision = delta.organizations.back().organization.revision;
          delta.head.chain = TRY(chain_at(connection, delta.head.revision));
        } else if (delta.more) {
          delta.head.revision = known.revision;  // limit 0: only asks whether the histories agree
          delta.head.chain = known.chain;
        }
        return {};
      },
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!done) return std::unexpected(registry_error(done.error()));
  return delta;
}

Result<std::vector<domain::Region>> registry_regions(pg::Connection& connection) {
  return registry_result(read_regions(connection));
}

Result<RegistryEntryDetails> registry_show(pg::Connection& connection, const domain::OrgKey& key) {
  const pg::Rows rows = TRY(registry_result(
      connection.query(fmt::format("{} WHERE o.key = $1", kOrganization), {key.text()})));
  if (rows.size() == 0) {
    return fail(Code::not_found,
                fmt::format("there is no organization {}; see: domicile org list", key.view()),
                "unknown_organization");
  }
  return details_at(rows, 0);
}

Result<std::optional<domain::OrgKey>> registry_key_of_slug(pg::Connection& connection,
                                                           const domain::Slug& slug) {
  const pg::Rows rows = TRY(registry_result(connection.query(
      "SELECT key FROM domicile_registry.organization WHERE slug = $1", {slug.text()})));
  if (rows.size() == 0) return std::optional<domain::OrgKey>();
  return std::optional(domain::OrgKey(rows.text(0, 0)));
}

Result<std::vector<RegistryEntryDetails>> registry_list(pg::Connection& connection,
                                                        const RegistryFilter& filter) {
  const pg::Rows rows = TRY(registry_result(connection.query(
      fmt::format("{} WHERE o.key > $1 AND ($2::text IS NULL OR o.region = $2) AND ($3::text IS "
                  "NULL OR o.state = $3)"
                  " ORDER BY o.key LIMIT $4",
                  kOrganization),
      {filter.after_key, filter.region ? pg::Param(filter.region->text()) : pg::Param(),
       filter.state ? pg::Param(std::string(to_string(*filter.state))) : pg::Param(),
       fmt::format("{}", filter.limit)})));
  std::vector<RegistryEntryDetails> out;
  for (int row = 0; row < rows.size(); ++row) out.push_back(TRY(details_at(rows, row)));
  return out;
}

Result<std::vector<RegionCount>> registry_counts(pg::Connection& connection) {
  const pg::Rows rows = TRY(registry_result(
      connection.query("SELECT region, state, count(*) FROM domicile_registry.organization GROUP "
                       "BY region, state ORDER BY region, state")));
  std::vector<RegionCount> out;
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({.region = domain::RegionId(rows.text(row, 0)),
                   .state = TRY(domain::parse_placement_state(rows.text(row, 1))),
                   .organizations = rows.integer(row, 2)});
  }
  return out;
}

Result<RegistryChange> registry_create(pg::Connection& connection, const std::string& operation,
                                       const domain::OrgKey& key, const domain::Slug& slug,
                                       const domain::RegionId& region,
                                       std::span<const DomainHash> domains) {
  return changed(
      connection.query("SELECT revision, epoch, replayed FROM "
                       "domicile_registry.create_organization($1, $2, $3, $4, $5)",
                       {optional_text(operation), key.text(), slug.text(), region.text(),
                        bytea_array_literal(domains)}));
}

Result<RegistryChange> registry_place(pg::Connection& connection, const std::string& operation,
                                      const domain::OrgKey& key, domain::Epoch expected,
                                      domain::PlacementState state,
                                      const std::optional<domain::RegionId>& region) {
  return changed(connection.query(
      "SELECT revision, epoch, replayed FROM domicile_registry.place_organization($1, $2, $3, $4, "
      "$5)",
      {optional_text(operation), key.text(), fmt::format("{}", expected),
       region ? pg::Param(region->text()) : pg::Param(), std::string(to_string(state))}));
}

Result<RegistryChange> registry_change_domains(pg::Connection& connection,
                                               const std::string& operation,
                                               const domain::OrgKey& key,
                                               std::span<const DomainHash> adds,
                                               std::span<const DomainHash> removes) {
  return changed(connection.query(
      "SELECT revision, epoch, replayed FROM domicile_registry.change_domains($1, $2, $3, $4)",
      {optional_text(operation), key.text(), bytea_array_literal(adds),
       bytea_array_literal(removes)}));
}

Result<bool> registry_put_jurisdiction(pg::Connection& connection, const domain::JurisdictionId& id,
                                       const std::vector<domain::LocationId>& locations) {
  std::vector<std::string> names;
  for (const auto& location : locations) names.push_back(location.text());
  const pg::Rows rows = TRY(registry_result(connection.query(
      "SELECT domicile_registry.put_jurisdiction($1, $2)", {id.text(), pg::array_literal(names)})));
  return !rows.null(0, 0);
}

Result<bool> registry_put_region(pg::Connection& connection, const domain::Region& region) {
  std::vector<std::string> names;
  for (const auto& location : region.locations) names.push_back(location.text());
  const pg::Rows rows = TRY(registry_result(
      connection.query("SELECT domicile_registry.put_region($1, $2, $3, $4, $5)",
                       {region.id.text(), region.jurisdiction.text(), pg::array_literal(names),
                        region.url, std::string(region.master ? "true" : "false")})));
  return !rows.null(0, 0);
}

Result<void> registry_adopt_pepper(pg::Connection& connection, const DomainHash& fingerprint) {
  TRY(registry_result(
      connection.query("SELECT domicile_registry.adopt_pepper($1)", {bytea_literal(fingerprint)})));
  return {};
}

}  // namespace domicile::store
