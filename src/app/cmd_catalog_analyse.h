// domicile catalog analyse: who has how much, and where it would go.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_catalog_analyse(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
