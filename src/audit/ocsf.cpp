#include "audit/ocsf.h"

#include "audit/ocsf_record.h"
#include "base/check.h"

namespace domicile::audit {
namespace {

using domain::Event;
using domain::EventKind;
using domain::Outcome;

// What a wrong-region event may hold: where, when, which organization, why, which request.
Event without_person(const Event& event) {
  Event kept;
  kept.kind = event.kind;
  kept.outcome = event.outcome;
  kept.activity = event.activity;
  kept.time = event.time;
  kept.region = event.region;
  kept.organization = event.organization;
  kept.request_id = event.request_id;
  kept.reason = event.reason;
  kept.severity = event.severity;
  kept.operation = kWithoutPerson;
  return kept;
}

OcsfRecord render(const Event& event, const OcsfClass& shape, OcsfCode activity,
                  const PersonalNote& personal) {
  for (const RecordLimits limits :
       {RecordLimits{}, RecordLimits{.field_bytes = 192, .details = 0}}) {
    OcsfRecord record = RecordWriter(event, shape, activity, limits, personal).write();
    if (record.text.size() <= kRecordBytesMax) return record;
  }
  CHECK(false);  // a record with short fields fits
  return {};
}

}  // namespace

bool holds_nobody(const Event& event) {
  return event.kind == EventKind::cross_region || event.reason == "wrong_region";
}

std::vector<OcsfRecord> to_ocsf(const Event& event, const PersonalNote& personal) {
  std::vector<OcsfRecord> records;
  if (!holds_nobody(event)) {
    records.push_back(render(event, ocsf_class(event.kind), ocsf_activity(event), personal));
    return records;
  }
  Event kept = without_person(event);
  if (!personal.actor_tag.empty()) kept.details.emplace_back("actor_tag", personal.actor_tag);
  records.push_back(render(kept, ocsf_class(kept.kind), ocsf_activity(kept), personal));
  if (kept.kind == EventKind::cross_region) {
    records.push_back(render(kept, kDetectionFinding, {1, "Create"}, personal));
  }
  return records;
}

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::sign_in: return "sign_in";
    case EventKind::token_issued: return "token_issued";
    case EventKind::request: return "request";
    case EventKind::cross_region: return "cross_region";
    case EventKind::sql_session: return "sql_session";
    case EventKind::sql_statement: return "sql_statement";
    case EventKind::grant_changed: return "grant_changed";
    case EventKind::organization_changed: return "organization_changed";
    case EventKind::policy_changed: return "policy_changed";
    case EventKind::reference_applied: return "reference_applied";
    case EventKind::drift_repaired: return "drift_repaired";
    case EventKind::finding: return "finding";
    case EventKind::log_changed: return "log_changed";
    case EventKind::detection: return "detection";
    case EventKind::cloud_activity: return "cloud_activity";
    case EventKind::schema_changed: return "schema_changed";
    case EventKind::config_changed: return "config_changed";
    case EventKind::key_changed: return "key_changed";
  }
  return "unknown";
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::allowed: return "allowed";
    case Outcome::denied: return "denied";
    case Outcome::failed: return "failed";
  }
  return "unknown";
}

}  // namespace domicile::audit
