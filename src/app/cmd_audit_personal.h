// domicile audit erase|hold|key|retention: acts on a node's log.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_audit_personal(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
