// Carries what the log says about checks, detections and reference data into the findings that
// people work on. The place in the log moves in the same transaction as what came of it.
//
//   finding, a check failed     the finding of check and object is seen
//   finding, a check passed     whatever of it was open in that region is fixed
//   finding, no evidence        nothing is seen and nothing is fixed; the attempt is noted
//   finding of reference data   seen
//   detection, opened           the finding of rule and subject is seen
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "compliance/detection_service.h"
#include "store/finding_store.h"

namespace domicile::compliance {

// One event; events of other kinds and what is no JSON are passed over.
Result<void> feed_finding(store::FindingStore& store, const WatchedEvent& event);

// One round: reads on from where the database says, at most `count` events. How many were read.
// `log` names this node's log among those of the region.
Result<std::size_t> follow_findings(store::FindingStore& store, const DetectionPorts& ports,
                                    const std::string& log, std::size_t count);

}  // namespace domicile::compliance
