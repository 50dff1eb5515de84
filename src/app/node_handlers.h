// What a node answers about itself, beside the issuer and the registry's feed.
#pragma once

#include "base/secret.h"
#include "http/message.h"
#include "registry/follower.h"
#include "registry/home_keeper.h"

namespace domicile::app {

// GET /v1/organizations/{key}: is the organization served here? For operators' tools and peers only:
// the bearer token is the one that nodes share, because which organizations exist is nobody else's
// business. Answers {"organization", "region", "state", "epoch", "revision", "readiness"}; 404 with
// reason unknown_organization when the snapshot does not know it. The references outlive the handler.
http::Handler organization_handler(const registry::Follower& follower,
                                   const registry::HomeKeeper& keeper, Secret peer_token);

}  // namespace domicile::app
