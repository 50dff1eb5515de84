// One region's node: everything behind `domicile serve`, built by constructor in the order in which it
// depends on each other. Reads as docs/architecture.md's picture.
//
//   ledger -> regional database (watch, keeper, directory) -> registry (follower) -> issuer -> door
//
// Threads: the caller's; the door's loops and workers; one each for ledger, follower, keeper, region
// watch, issuer's keys and peers' keys. create() validates and reaches everything that cannot be done
// without; the registry can: known organizations are served from the snapshot on disk.
#pragma once

#include <cstddef>
#include <memory>

#include "app/node_config.h"
#include "base/clock.h"
#include "base/result.h"

namespace domicile::app {

class Node {
 public:
  // `clock` outlives the node.
  static Result<std::unique_ptr<Node>> create(const NodeConfig& config, const Clock& clock);
  ~Node();  // stops at once
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  Result<void> start();
  std::uint16_t port() const;
  // Reads certificate, routes and the proxies' token again; what cannot be read stays as it was.
  // Each is an event.
  void reload();
  // /readyz says no from now on; everything is still served.
  void announce_drain();
  // Takes no new connections, finishes what is under way within the configured time. The number of connections that were still open then.
  std::size_t drain();
  // Stops everything in reverse order; what is under way is cut.
  void stop();

 private:
  struct Parts;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace domicile::app
