// The scan and the analysis as one HTML page that stands alone: no scripts, nothing loaded from
// elsewhere (its content security policy says so), every text escaped. To be attached to a ticket or
// opened from a disk.
#pragma once

#include <string>

#include "app/catalog_analysis.h"

namespace domicile::app {

std::string catalog_page(const Scanned& scanned, const Analysis& analysis);

}  // namespace domicile::app
