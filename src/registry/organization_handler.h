// GET /v1/organizations/{key}: what this node knows of an organization, for operators and for
// `domicile org create`, which waits until the home serves it. For peers only (bearer token): which
// organizations exist is nobody else's business.
//
//   {"key", "slug", "region", "state", "epoch", "home": "https://...", "here": bool, "served": bool,
//    "store_epoch", "problem"}   the last three only at home
// 404 with reason unknown_organization when the snapshot does not know it.
#pragma once

#include "http/message.h"
#include "registry/follower.h"
#include "registry/home_keeper.h"

namespace domicile::registry {

// Both outlive the handler. Thread-safe.
http::Handler organization_handler(const Follower& follower, const HomeKeeper& keeper,
                                   domain::RegionId region, Secret peer_token);

}  // namespace domicile::registry
