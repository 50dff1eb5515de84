// The node's audit log and what stands around it: the ledger, and the log served to readers.
//
// Built first and destroyed last: everybody records events. open() needs nothing but the
// configuration; start() once the node is up.
#pragma once

#include <memory>

#include "app/node_config.h"
#include "audit/ledger.h"
#include "audit/log_server.h"
#include "base/clock.h"

namespace domicile::app {

class NodeAudit {
 public:
  // `clock` outlives it.
  static Result<std::unique_ptr<NodeAudit>> open(const NodeConfig& config, const Clock& clock);

  Result<void> start();
  audit::Ledger& ledger() { return *ledger_; }

 private:
  NodeAudit() = default;
  std::unique_ptr<audit::Ledger> ledger_;
  std::unique_ptr<audit::LogServer> log_server_;  // null: the log is not served
};

}  // namespace domicile::app
