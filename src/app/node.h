// One region's node: everything behind `domicile serve`, built by constructor in the order in which it
// depends on each other. Reads as docs/architecture.md's picture.
//
//   ledger -> regional database (watch, keeper, directory) -> registry (follower) -> issuer -> door
//
// Threads: the caller's; the door's loops and workers; one each for ledger, follower, keeper, region
// watch, issuer's keys and peers' keys. create() validates and reaches everything that cannot be done
// without; the registry can: known organizations are served from the snapshot on disk.
#pragma once

#include <chrono>
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
  // Reads certificate and routes again; what cannot be read stays as it was.
  void reload();
  // Finishes what is under way, at most until the deadline, then stops everything in reverse order.
  void stop(std::chrono::milliseconds deadline);

 private:
  struct Parts;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace domicile::app
