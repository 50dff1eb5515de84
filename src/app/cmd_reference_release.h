// domicile reference release create | add | show | list | submit | approve | reject | publish | rollback |
// discard | current | require: changes of reference data, made together and published at once.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_reference_release(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
