// domicile reference apply-schema: brings a replica region's reference tables to the master's columns, as
// far as that is an addition.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_reference_schema(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
