// An administrator's act on a node's log, from the command line: through the node where it runs,
// else done here.
#pragma once

#include <filesystem>
#include <string>

#include "app/node_config.h"
#include "audit/log_act.h"
#include "base/result.h"

namespace domicile::app {

// The receipt.
Result<std::string> act_on_log(const NodeConfig& config, const audit::LogAct& act);

// Tells a log, of which the folder is all that is known, that it was read: the node records it at
// once where it runs, else at its next start. What was done, in words.
std::string tell_log(const std::filesystem::path& directory, const audit::LogAct& act);

}  // namespace domicile::app
