// The nouns of what was found: alert and finding.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_alert(CLI::App& root, Cli& cli);
void add_finding(CLI::App& root, Cli& cli);

}  // namespace domicile::app
