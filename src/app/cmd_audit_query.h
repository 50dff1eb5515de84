// Adds `audit query` and `audit index` to the noun.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_audit_query(CLI::App& noun, Cli& cli);
void add_audit_index(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
