#include "store/placement_list.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::store {
namespace {

using Json = nlohmann::json;

Result<void> only_members(const Json& object, std::string_view place,
                          std::initializer_list<std::string_view> allowed) {
  if (!object.is_object())
    return fail(Code::invalid, fmt::format("{}: an object is needed", place));
  for (const auto& [name, value] : object.items()) {
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      return fail(Code::invalid, fmt::format("{}: unknown member \"{}\"", place, name));
    }
  }
  for (std::string_view name : allowed) {
    if (!object.contains(name))
      return fail(Code::invalid, fmt::format("{}: member \"{}\" is missing", place, name));
  }
  return {};
}

Result<std::uint64_t> number(const Json& value, std::string_view place) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
    return fail(Code::invalid, fmt::format("{}: a whole number from 0 is needed", place));
  }
  return value.get<std::uint64_t>();
}

Result<PlacedHere> placed(const Json& item, std::string_view place, domain::KeyType key_type) {
  TRY(only_members(item, place, {"key", "epoch", "state"}));
  if (!item["key"].is_string() || !item["state"].is_string()) {
    return fail(Code::invalid, fmt::format("{}: key and state are texts", place));
  }
  auto key = domain::parse_org_key(item["key"].get<std::string>(), key_type);
  if (!key) return std::unexpected(std::move(key).error().within(place));
  const auto state = item["state"].get<std::string>();
  if (state != "active" && state != "suspended") {
    return fail(Code::invalid, fmt::format("{}: state is active or suspended", place));
  }
  return PlacedHere{
      .key = *key, .epoch = TRY(number(item["epoch"], place)), .suspended = state == "suspended"};
}

}  // namespace

Result<PlacementList> parse_placement_list(std::string_view text, domain::KeyType key_type) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Code::invalid, "the list of placements is not JSON");
  TRY(only_members(json, "list of placements", {"region", "revision", "organizations"}));
  if (!json["region"].is_string() || !json["organizations"].is_array()) {
    return fail(Code::invalid, "list of placements: region is a text, organizations a list");
  }
  PlacementList list;
  list.region = TRY(domain::parse_region_id(json["region"].get<std::string>()));
  list.revision = TRY(number(json["revision"], "list of placements, revision"));
  std::set<std::string> seen;
  for (const Json& item : json["organizations"]) {
    const std::string place = fmt::format("organizations[{}]", list.organizations.size());
    list.organizations.push_back(TRY(placed(item, place, key_type)));
    if (!seen.insert(list.organizations.back().key.text()).second) {
      return fail(Code::invalid, fmt::format("{}: organization {} stands twice", place,
                                             list.organizations.back().key.text()));
    }
  }
  return list;
}

std::string to_json(const PlacementList& list) {
  Json organizations = Json::array();
  for (const auto& placed : list.organizations) {
    organizations.push_back({{"key", placed.key.text()},
                             {"epoch", placed.epoch},
                             {"state", placed.suspended ? "suspended" : "active"}});
  }
  return Json{{"region", list.region.text()},
              {"revision", list.revision},
              {"organizations", std::move(organizations)}}
      .dump();
}

}  // namespace domicile::store
