#include "audit/ocsf_class.h"

#include <array>

#include "base/check.h"

namespace domicile::audit {
namespace {

using domain::Activity;
using domain::Event;
using domain::EventKind;
using domain::Outcome;

constexpr std::string_view kIdentity = "Identity & Access Management";
constexpr std::string_view kApplication = "Application Activity";

constexpr OcsfClass kLog{1008, "Event Log Activity", 1, "System Activity", true, false};
constexpr OcsfClass kCompliance{2003, "Compliance Finding", 2, "Findings", false, true};
constexpr OcsfClass kAuthentication{3002, "Authentication", 3, kIdentity, true, false};
constexpr OcsfClass kAuthorizeSession{3003, "Authorize Session", 3, kIdentity, true, false};
constexpr OcsfClass kEntity{3004, "Entity Management", 3, kIdentity, true, false};
constexpr OcsfClass kUserAccess{3005, "User Access Management", 3, kIdentity, true, true};
constexpr OcsfClass kApi{6003, "API Activity", 6, kApplication, true, true};
constexpr OcsfClass kDatastore{6005, "Datastore Activity", 6, kApplication, true, false};
constexpr OcsfClass kRemediation{7001, "Remediation Activity", 7, "Remediation", false, false};

constexpr OcsfCode kOther{99, "Other"};

OcsfCode entity_activity(const Event& event) {
  const std::string_view verb =
      std::string_view(event.operation).substr(event.operation.find('.') + 1);
  if (verb == "move") return {5, "Move"};
  if (verb == "suspend") return {12, "Suspend"};
  if (verb == "resume") return {13, "Resume"};
  switch (event.activity) {
    case Activity::create: return {1, "Create"};
    case Activity::read: return {2, "Read"};
    case Activity::update: return {3, "Update"};
    case Activity::remove: return {4, "Delete"};
    case Activity::other: return kOther;
  }
  return kOther;
}

OcsfCode log_activity(const Event& event) {
  struct Verb {
    std::string_view operation;
    OcsfCode code;
  };
  static constexpr std::array kVerbs{
      Verb{"log.export", {3, "Export"}}, Verb{"log.archive", {4, "Archive"}},
      Verb{"log.rotate", {5, "Rotate"}}, Verb{"log.start", {6, "Start"}},
      Verb{"log.stop", {7, "Stop"}}};
  for (const Verb& verb : kVerbs) {
    if (verb.operation == event.operation) return verb.code;
  }
  return kOther;
}

OcsfCode request_activity(Activity activity) {
  switch (activity) {
    case Activity::create: return {1, "Create"};
    case Activity::read: return {2, "Read"};
    case Activity::update: return {3, "Update"};
    case Activity::remove: return {4, "Delete"};
    case Activity::other: return kOther;
  }
  return kOther;
}

OcsfCode key_activity(Activity activity) {
  if (activity == Activity::create) return {1, "Create"};
  return activity == Activity::remove ? OcsfCode{4, "Delete"} : OcsfCode{3, "Update"};
}

OcsfCode schema_activity(Activity activity) {
  switch (activity) {
    case Activity::create: return {6, "Create"};
    case Activity::read: return {1, "Read"};
    case Activity::update: return {2, "Update"};
    case Activity::remove: return {7, "Delete"};
    case Activity::other: return kOther;
  }
  return kOther;
}

OcsfCode derived_severity(const Event& event) {
  constexpr OcsfCode kInformational{1, "Informational"}, kLow{2, "Low"}, kMedium{3, "Medium"},
      kHigh{4, "High"};
  if (event.kind == EventKind::cross_region)
    return event.outcome == Outcome::denied ? kMedium : OcsfCode{5, "Critical"};
  if (event.kind == EventKind::detection) return kHigh;
  if (event.kind == EventKind::drift_repaired) return kMedium;
  if (event.kind == EventKind::log_changed && event.operation != "log.start") return kMedium;
  if (event.outcome == Outcome::allowed) return kInformational;
  if (event.kind == EventKind::finding) return kHigh;
  return event.outcome == Outcome::failed ? kMedium : kLow;
}

}  // namespace

constexpr OcsfClass kDetectionFinding{2004, "Detection Finding", 2, "Findings", false, true};

const OcsfClass& ocsf_class(EventKind kind) {
  switch (kind) {
    case EventKind::sign_in: return kAuthentication;
    case EventKind::token_issued: return kAuthorizeSession;
    case EventKind::request:
    case EventKind::cross_region:
    case EventKind::cloud_activity: return kApi;
    case EventKind::sql_session:
    case EventKind::sql_statement:
    case EventKind::reference_applied:
    case EventKind::schema_changed: return kDatastore;
    case EventKind::grant_changed: return kUserAccess;
    case EventKind::organization_changed:
    case EventKind::policy_changed:
    case EventKind::config_changed:
    case EventKind::key_changed: return kEntity;
    case EventKind::drift_repaired: return kRemediation;
    case EventKind::finding: return kCompliance;
    case EventKind::log_changed: return kLog;
    case EventKind::detection: return kDetectionFinding;
  }
  CHECK(false);  // every kind has a class
  return kApi;
}

OcsfCode ocsf_activity(const Event& event) {
  switch (event.kind) {
    case EventKind::sign_in: return {1, "Logon"};
    case EventKind::token_issued: return {1, "Assign Privileges"};
    case EventKind::request:
    case EventKind::cross_region:
    case EventKind::cloud_activity: return request_activity(event.activity);
    case EventKind::sql_session: return {3, "Connect"};
    case EventKind::sql_statement: return {4, "Query"};
    case EventKind::reference_applied: return {2, "Update"};
    case EventKind::grant_changed:
      return event.activity == Activity::remove ? OcsfCode{2, "Revoke Privileges"}
                                                : OcsfCode{1, "Assign Privileges"};
    case EventKind::organization_changed: return entity_activity(event);
    case EventKind::policy_changed:
    case EventKind::config_changed: return {3, "Update"};
    case EventKind::key_changed: return key_activity(event.activity);
    case EventKind::schema_changed: return schema_activity(event.activity);
    case EventKind::drift_repaired: return {3, "Restore"};
    case EventKind::detection:
    case EventKind::finding:
      if (event.activity == Activity::update) return {2, "Update"};
      return event.activity == Activity::remove ? OcsfCode{3, "Close"} : OcsfCode{1, "Create"};
    case EventKind::log_changed: return log_activity(event);
  }
  return kOther;
}

OcsfCode ocsf_severity(const Event& event) {
  struct Level {
    std::string_view name;
    OcsfCode code;
  };
  static constexpr std::array kLevels{Level{"informational", {1, "Informational"}},
                                      Level{"low", {2, "Low"}},
                                      Level{"medium", {3, "Medium"}},
                                      Level{"high", {4, "High"}},
                                      Level{"critical", {5, "Critical"}},
                                      Level{"fatal", {6, "Fatal"}}};
  for (const Level& level : kLevels) {
    if (level.name == event.severity) return level.code;
  }
  return derived_severity(event);
}

}  // namespace domicile::audit
