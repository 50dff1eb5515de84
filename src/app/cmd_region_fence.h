// Part of the noun `region`: home and fence one organization by hand.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_region_fence(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
