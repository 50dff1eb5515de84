// GET /v1/registry/changes: what the master region's node tells its peers of the registry. For
// nodes only: the bearer token is the peers' shared secret, compared in constant time.
//
//   since=<revision>     the caller's position (0: nothing known)
//   chain=<64 hex>, registry=<32 hex>   what the caller knows of that revision; 409 when it is
//   another
//                        history (reasons registry_went_back, registry_diverged)
//   limit=<0..10000>     organizations in one answer
//   wait=<0..10000>      milliseconds to wait for something newer
//
// Certificates: http/peer_gate.h.
//
// Waiting holds a worker thread, so few may wait at a time; the others are answered at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "http/message.h"
#include "http/peer_gate.h"
#include "registry/registry_store.h"

namespace domicile::registry {

struct FeedOptions {
  http::PeerGate gate;
  unsigned max_waiting = 2;
  std::chrono::milliseconds wait_max{10'000};
  // Blocks until this node knows something newer than the revision, or the time is over: the local
  // follower's wait_past(). Empty: nobody waits.
  std::function<bool(std::uint64_t, std::chrono::milliseconds)> wait_past;
};

// `store` outlives the handler. Thread-safe.
http::Handler feed_handler(RegistryStore& store, FeedOptions options);

}  // namespace domicile::registry
