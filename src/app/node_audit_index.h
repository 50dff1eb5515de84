// The node's part in the index of its log: the thread that loads it, when the configuration has one.
#pragma once

#include <memory>

#include "app/node_audit.h"
#include "app/node_config.h"
#include "logindex/follower.h"

namespace domicile::app {

// Null without [audit_index]. `audit` and `clock` outlive it.
Result<std::unique_ptr<logindex::Follower>> make_audit_index(const NodeConfig& config,
                                                             NodeAudit& audit, const Clock& clock);

}  // namespace domicile::app
