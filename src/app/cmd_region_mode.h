// Part of the noun `region`: observe, enforce and off, table by table.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_region_mode(CLI::App& region_noun, Cli& cli);

}  // namespace domicile::app
