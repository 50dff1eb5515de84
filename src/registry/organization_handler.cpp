#include "registry/organization_handler.h"

#include <nlohmann/json.hpp>

#include "registry/feed_handler.h"

namespace domicile::registry {

http::Handler organization_handler(const Follower& follower, const HomeKeeper& keeper,
                                   domain::RegionId region, Secret peer_token) {
  return [&follower, &keeper, region = std::move(region),
          token = std::move(peer_token)](const http::Request& request) -> http::Response {
    constexpr std::string_view kPrefix = "/v1/organizations/";
    if (!is_peer(request, token)) {
      auto refused =
          http::problem(401, "unauthenticated", "this is for nodes and operators", request);
      refused.headers.emplace_back("www-authenticate", "Bearer realm=\"domicile peers\"");
      return refused;
    }
    if (request.method != "GET") {
      auto refused = http::problem(405, "method_not_allowed", "use GET", request);
      refused.headers.emplace_back("allow", "GET");
      return refused;
    }
    const auto key =
        request.path.starts_with(kPrefix)
            ? domain::parse_org_key(std::string_view(request.path).substr(kPrefix.size()))
            : Result<domain::OrgKey>(fail(Code::not_found, ""));
    const auto snapshot = follower.current();
    const auto found = key ? snapshot->find(*key) : std::nullopt;
    if (!found)
      return http::problem(404, "unknown_organization", "the registry snapshot does not know it",
                           request);
    nlohmann::json object = {{"key", found->key},
                             {"slug", found->slug},
                             {"region", found->home->id.text()},
                             {"state", to_string(found->state)},
                             {"epoch", found->epoch},
                             {"home", found->home->url},
                             {"here", found->homed_in(region.view())}};
    if (found->homed_in(region.view())) {
      const auto readiness = keeper.readiness(found->key).value_or(Readiness{});
      object["served"] = readiness.served && readiness.epoch == found->epoch;
      object["store_epoch"] = readiness.epoch;
      if (!readiness.problem.empty()) object["problem"] = readiness.problem;
    }
    return http::json_response(200, object.dump());
  };
}

}  // namespace domicile::registry
