// domicile audit witness status|keygen|pubkey: who vouches for a log, and the keys they do it with.
#pragma once

#include "app/cli.h"

namespace domicile::app {

void add_audit_witness(CLI::App& noun, Cli& cli);

}  // namespace domicile::app
