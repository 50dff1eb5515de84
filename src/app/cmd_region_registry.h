// The verbs of the noun `region` that ask the registry: list, show.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_region_registry(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
