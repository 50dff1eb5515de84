// The files of a running node that SIGHUP reads again, and what is recorded of it. Each part stands
// for itself: one that cannot be read, or is not complete, stays as it was; its reason goes to the
// log and, as an event, into the evidence.
#pragma once

#include <memory>
#include <string>

#include "app/node_config.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "domain/event.h"
#include "policy/route_policy.h"

namespace domicile::app {

struct LoadedRoutes {
  std::shared_ptr<const policy::RoutePolicy> policy;
  std::string sha256;  // of the file's text
};
Result<LoadedRoutes> load_routes(const NodeConfig& config);

// Of the proxies that may ask /authorize; empty when the configuration names no file.
Result<Secret> load_authorize_token(const NodeConfig& config);

// One part that was read again: waits until the event is durable, and says in the log how it went.
// `sha256` may be empty; it never is of a secret.
void note_reload(domain::EventSink& events, const Clock& clock, const NodeConfig& config,
                 std::string_view part, const std::filesystem::path& file,
                 const Result<void>& outcome, std::string_view sha256);

}  // namespace domicile::app
