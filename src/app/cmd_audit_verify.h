// domicile audit verify|prove|verify-proof: a log held against its signed checkpoint.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_audit_verify(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
