#include "registry/feed_codec.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"

namespace domicile::registry {
namespace {

using nlohmann::json;

std::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::invalid, fmt::format("malformed registry feed: {}", what));
}

Result<std::string> text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return malformed(key);
  return found->get<std::string>();
}

Result<std::uint64_t> number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return malformed(key);
  return found->get<std::uint64_t>();
}

Result<const json*> array(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return malformed(key);
  return &*found;
}

Result<bool> flag(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_boolean()) return malformed(key);
  return found->get<bool>();
}

json to_json(const domain::Region& region) {
  json locations = json::array();
  for (const auto& location : region.locations) locations.push_back(location.text());
  return {{"id", region.id.text()},
          {"jurisdiction", region.jurisdiction.text()},
          {"locations", std::move(locations)},
          {"url", region.url},
          {"master", region.master}};
}

json to_json(const RegistryEntry& entry) {
  json object = {{"key", entry.organization.key.text()},
                 {"slug", entry.organization.slug.text()},
                 {"region", entry.organization.placement.region.text()},
                 {"epoch", entry.organization.placement.epoch},
                 {"state", to_string(entry.organization.placement.state)},
                 {"revision", entry.organization.revision}};
  if (!entry.domains.empty()) {
    json domains = json::array();
    for (const auto& domain : entry.domains) domains.push_back(to_hex(domain_bytes(domain)));
    object["domains"] = std::move(domains);
  }
  return object;
}

Result<domain::Region> region_from(const json& object) {
  domain::Region region;
  region.id = TRY(domain::parse_region_id(TRY(text(object, "id"))));
  region.jurisdiction = TRY(domain::parse_jurisdiction_id(TRY(text(object, "jurisdiction"))));
  region.url = TRY(text(object, "url"));
  region.master = TRY(flag(object, "master"));
  for (const json& location : *TRY(array(object, "locations"))) {
    if (!location.is_string()) return malformed("locations");
    region.locations.push_back(TRY(domain::parse_location_id(location.get<std::string>())));
  }
  return region;
}

Result<RegistryEntry> entry_from(const json& object) {
  RegistryEntry entry;
  entry.organization.key = TRY(domain::parse_org_key(TRY(text(object, "key"))));
  entry.organization.slug = TRY(domain::parse_slug(TRY(text(object, "slug"))));
  entry.organization.placement.region = TRY(domain::parse_region_id(TRY(text(object, "region"))));
  entry.organization.placement.epoch = TRY(number(object, "epoch"));
  entry.organization.placement.state =
      TRY(domain::parse_placement_state(TRY(text(object, "state"))));
  entry.organization.revision = TRY(number(object, "revision"));
  if (!object.contains("domains")) return entry;
  for (const json& domain : *TRY(array(object, "domains"))) {
    if (!domain.is_string()) return malformed("domains");
    entry.domains.push_back(TRY(parse_hash(domain.get<std::string>())));
  }
  return entry;
}

}  // namespace

Result<domain::DomainHash> parse_hash(std::string_view hex) {
  const auto bytes = from_hex(hex);
  domain::DomainHash hash{};
  if (!bytes || bytes->size() != hash.size())
    return fail(Code::invalid, "not a hash of 64 hex digits");
  std::ranges::copy(*bytes, hash.begin());
  return hash;
}

std::string encode_delta(const RegistryDelta& delta) {
  json regions = json::array();
  for (const auto& region : delta.regions) regions.push_back(to_json(region));
  json organizations = json::array();
  for (const auto& entry : delta.organizations) organizations.push_back(to_json(entry));
  return json{{"registry", delta.head.registry_id},
              {"revision", delta.head.revision},
              {"chain", to_hex(domain_bytes(delta.head.chain))},
              {"more", delta.more},
              {"regions", std::move(regions)},
              {"organizations", std::move(organizations)}}
      .dump();
}

Result<RegistryDelta> decode_delta(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return malformed("not a JSON object");
  RegistryDelta delta;
  delta.head.registry_id = TRY(text(object, "registry"));
  delta.head.revision = TRY(number(object, "revision"));
  delta.head.chain = TRY(parse_hash(TRY(text(object, "chain"))));
  delta.more = TRY(flag(object, "more"));
  for (const json& region : *TRY(array(object, "regions"))) {
    if (!region.is_object()) return malformed("regions");
    delta.regions.push_back(TRY(region_from(region)));
  }
  for (const json& entry : *TRY(array(object, "organizations"))) {
    if (!entry.is_object()) return malformed("organizations");
    delta.organizations.push_back(TRY(entry_from(entry)));
  }
  return delta;
}

}  // namespace domicile::registry
