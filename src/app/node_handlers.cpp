#include "app/node_handlers.h"

#include <memory>

#include <nlohmann/json.hpp>

#include "http/peer_gate.h"

namespace domicile::app {
namespace {

std::string_view name_of(registry::Readiness readiness) {
  switch (readiness) {
    case registry::Readiness::unknown: return "unknown";
    case registry::Readiness::elsewhere: return "elsewhere";
    case registry::Readiness::not_active: return "not_active";
    case registry::Readiness::pending: return "pending";
    case registry::Readiness::ready: return "ready";
  }
  return "unknown";
}

}  // namespace

http::Handler organization_handler(const registry::Follower& follower,
                                   const registry::HomeKeeper& keeper, Secret peer_token) {
  const auto token = std::make_shared<const Secret>(std::move(peer_token));
  return [&follower, &keeper, token](const http::Request& request) {
    constexpr std::string_view kPrefix = "/v1/organizations/";
    if (!http::is_peer(request, *token)) {
      return http::problem(401, "unauthenticated",
                           "This is for nodes and operators: send the peer token.", request);
    }
    if (request.method != "GET")
      return http::problem(405, "method_not_allowed", "Only GET.", request);
    const auto key = domain::parse_org_key(std::string_view(request.path).substr(kPrefix.size()));
    if (!key)
      return http::problem(400, "invalid_organization", "Not an organization key.", request);
    const auto snapshot = follower.current();
    const auto view = snapshot->find(*key);
    if (!view)
      return http::problem(404, "unknown_organization", "The registry does not know it here yet.",
                           request);
    const nlohmann::json body = {{"organization", key->text()},
                                 {"region", view->home->id.text()},
                                 {"state", domain::to_string(view->state)},
                                 {"epoch", view->epoch},
                                 {"revision", view->revision},
                                 {"readiness", name_of(keeper.readiness(key->view()))}};
    return http::json_response(200, body.dump());
  };
}

}  // namespace domicile::app
