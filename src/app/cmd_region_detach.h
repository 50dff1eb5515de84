// Part of the noun `region`: take Domicile off tables, or off the whole database.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_region_detach(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
