// The node's part in comparisons of reference data: it answers in the master region, and works elsewhere.
#pragma once

#include <memory>

#include "app/node_config.h"
#include "base/secret.h"
#include "reference/compare_service.h"
#include "reference/compare_worker.h"

namespace domicile::app {

std::unique_ptr<reference::CompareService> make_compare_service(const NodeConfig& config,
                                                                const Secret& reference_dsn);
// `events` and `clock` outlive it.
std::unique_ptr<reference::CompareWorker> make_compare_worker(const NodeConfig& config,
                                                              const Secret& reference_dsn,
                                                              const Secret& peer_token,
                                                              domain::EventSink& events,
                                                              const Clock& clock);

}  // namespace domicile::app
