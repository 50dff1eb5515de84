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
// Where peers must show certificates, the one of the connection has to name the region that asks
// (URI urn:domicile:region:<id>, and the field Domicile-Region), and the registry has to know that
// region: 403 peer_certificate_required, peer_region_unknown, peer_region_mismatch.
//
// Waiting holds a worker thread, so few may wait at a time; the others are answered at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "http/message.h"
#include "registry/registry_store.h"

namespace domicile::registry {

struct FeedOptions {
  Secret peer_token;
  bool certificates = false;  // peers must show one
  // Whether the registry knows the region; nullopt: not to be told yet. Needed where certificates are.
  std::function<std::optional<bool>(std::string_view region)> knows_region;
  // Somebody with the token was refused for the certificate.
  std::function<void(const http::Request&, std::string_view reason)> on_refused;
  unsigned max_waiting = 2;
  std::chrono::milliseconds wait_max{10'000};
  // Blocks until this node knows something newer than the revision, or the time is over: the local
  // follower's wait_past(). Empty: nobody waits.
  std::function<bool(std::uint64_t, std::chrono::milliseconds)> wait_past;
};

// `store` outlives the handler. Thread-safe.
http::Handler feed_handler(RegistryStore& store, FeedOptions options);

// True: the request carries this bearer token. Shared by the handlers for peers.
bool is_peer(const http::Request& request, const Secret& token);

}  // namespace domicile::registry
