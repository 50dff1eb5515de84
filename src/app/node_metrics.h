// What /metrics shows of the reference data that this region follows.
#pragma once

#include "http/metrics.h"
#include "reference/applier.h"

namespace domicile::app {

// The applier outlives the metrics' last page.
void show_reference(http::Metrics& metrics, const reference::Applier& applier);

}  // namespace domicile::app
