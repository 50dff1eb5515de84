// Events of every kind, outcome and activity, for tests that make claims about all of them.
#pragma once

#include <vector>

#include "audit/ocsf.h"
#include "domain/event.h"

namespace domicile::audit {

// With every field filled, and with none.
inline std::vector<domain::Event> event_samples() {
  using domain::Activity;
  using domain::Outcome;
  std::vector<domain::Event> samples;
  for (const auto kind : kEventKinds) {
    for (const auto outcome : {Outcome::allowed, Outcome::denied, Outcome::failed}) {
      for (const auto activity : {Activity::create, Activity::read, Activity::update,
                                  Activity::remove, Activity::other}) {
        domain::Event bare;
        bare.kind = kind;
        bare.outcome = outcome;
        bare.activity = activity;
        bare.region = domain::RegionId("ca-central-1");
        samples.push_back(bare);
        domain::Event event = bare;
        event.time = WallTime(std::chrono::milliseconds(1'767'225'600'123));
        event.organization = domain::OrgKey("7");
        event.acting_organization = domain::OrgKey("8");
        event.actor = domain::UserId("user-4711");
        event.actor_role = "org_7";
        event.source_ip = "203.0.113.9";
        event.request_id = "req-1";
        event.operation = "courses.list";
        event.resource = "/courses/{id}";
        event.reason = outcome == Outcome::allowed ? "" : "organization_mismatch";
        event.epoch = 3;
        event.details = {{"subject", "user-12"},
                         {"permissions", "courses:read courses:write"},
                         {"fingerprint", "a0b1"},
                         {"title", "Rows are home"},
                         {"observed", "12 organizations"},
                         {"remedy", "move them"},
                         {"standards", "SOC 2 CC6.1"},
                         {"rule", "cross-region-denials"},
                         {"finding_uid", "cross-region-denials/1"}};
        samples.push_back(event);
        for (const char* operation :
             {"org.move", "org.suspend", "org.resume", "log.export", "log.rotate", "log.start",
              "log.stop", "log.archive", "log.erased", "log.trimmed", "key.rotate"}) {
          event.operation = operation;
          samples.push_back(event);
        }
      }
    }
  }
  return samples;
}

}  // namespace domicile::audit
