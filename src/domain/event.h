// One decision or act worth evidence. Services build an Event and hand it to the EventSink; how it
// is stored (a durable file now, the tamper-evident log later) and its OCSF form are the audit
// module's affair. An Event holds no secret, no SQL parameter and no request body. A wrong-region
// event holds only organization key, reason and request id: the home region records the person.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/names.h"

namespace domicile::domain {

enum class EventKind {
  sign_in,               // OCSF 3002
  token_issued,          // 3003
  request,               // 6003: activity from `action` (create, read, update, delete)
  cross_region,          // 6003 denied and 2004
  sql_session,           // 6005
  sql_statement,         // 6005
  grant_changed,         // 3005
  organization_changed,  // 3004
  policy_changed,        // 3004
  reference_applied,     // 6005
  drift_repaired,        // 7001
  finding,               // 2003
  log_changed,           // 1008: the log itself, its keys, its witnesses (log.*, witness.*)
  detection,             // 2004: a rule fired; details rule, title, finding_uid, observed
  cloud_activity,        // 6003: an act that the cloud provider's own trail tells of
  schema_changed,        // 6005: DDL in the regional store; `resource` is the object
  config_changed,        // 3004: a file of the node's configuration was taken up, or refused
  key_changed,           // 3004: a signing or sealing key came, changed or went
};

enum class Outcome { allowed, denied, failed };

enum class Activity { create, read, update, remove, other };

struct Event {
  EventKind kind = EventKind::request;
  Outcome outcome = Outcome::denied;
  Activity activity = Activity::other;
  WallTime time{};
  RegionId region;             // where it happened
  OrgKey organization;         // empty: none is concerned
  OrgKey acting_organization;  // the actor's own, where it differs from `organization` (grants)
  UserId actor;                // empty: unknown, or not recorded here
  // Of a wrong-region event: whom its tag of the day stands for. Itself it is written nowhere.
  std::string attempted_by;
  std::string actor_role;  // e.g. a database role for SQL events
  std::string source_ip;   // without port
  std::string request_id;
  std::string operation;  // route name, SQL command, or noun.verb of an administrative act
  std::string resource;   // what was acted on, without personal data
  std::string reason;     // stable reason code; empty when allowed
  std::string severity;   // empty: derived from kind and outcome; else OCSF caption in lower case
  Epoch epoch = 0;
  std::vector<std::pair<std::string, std::string>> details;  // further non-personal facts
};

// Thread-safe. `done` runs on the sink's own thread once the event is durable (value: its sequence
// number, from 1, without gaps per region), or with the error for which it is not.
class EventSink {
 public:
  using Completion = std::move_only_function<void(Result<std::uint64_t>)>;
  virtual ~EventSink() = default;
  virtual void submit(Event event, Completion done) = 0;
  // The same for an event that nobody waits for: it may become durable a little later, with others.
  virtual void submit_unhurried(Event event, Completion done) {
    submit(std::move(event), std::move(done));
  }

  // Blocks until durable. For jobs and worker threads, never on an event loop.
  Result<std::uint64_t> record(Event event);
};

}  // namespace domicile::domain
