// Part of the noun `region`: maintenance windows.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_region_maintenance(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
