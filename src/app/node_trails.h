// The node's part in other people's trails: the threads that read them, as the configuration says.
#pragma once

#include <memory>

#include "app/node_config.h"
#include "audit/ledger.h"
#include "trail/cloudtrail_watch.h"
#include "trail/postgresql_watch.h"

namespace domicile::app {

class NodeTrails {
 public:
  // `ledger` and `clock` outlive it. `dsn` is the regional store's.
  static std::unique_ptr<NodeTrails> create(const NodeConfig& config, const Secret& dsn,
                                            audit::Ledger& ledger, const Clock& clock);
  void start();

 private:
  NodeTrails() = default;
  std::unique_ptr<trail::PostgresqlWatch> postgresql_;  // null: not configured
  std::unique_ptr<trail::CloudtrailWatch> cloudtrail_;  // the same
};

}  // namespace domicile::app
