// domicile reference compare: are this region's reference tables those of the master region?
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_reference_compare(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
