// A node's certificate for its peers, and the evidence of peers whose certificate did not do.
#pragma once

#include <functional>
#include <string_view>

#include "app/node_config.h"
#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"
#include "http/message.h"

namespace domicile::app {

// peers.certificate and peers.key: readable, belonging together, not over, and naming this node's
// region as its URI. Nothing to check where none is configured.
Result<void> check_peer_certificate(const NodeConfig& config, const Clock& clock);

// Records that a peer was refused: the first, then at most one a second with the number of all that
// came since. For several threads; events and clock outlive it.
std::function<void(const http::Request&, std::string_view reason)> note_refused_peer(
    domain::EventSink& events, const Clock& clock, const domain::RegionId& region);

}  // namespace domicile::app
