// Which OCSF class and activity an Event is, and how grave: the table that docs/audit.md prints.
#pragma once

#include <cstdint>
#include <string_view>

#include "domain/event.h"

namespace domicile::audit {

struct OcsfClass {
  unsigned uid;
  std::string_view name;
  unsigned category_uid;
  std::string_view category_name;
  bool actor;      // the class has actor and src_endpoint
  bool resources;  // the class has resources
};

struct OcsfCode {
  unsigned id = 0;
  std::string_view caption;
};

extern const OcsfClass kDetectionFinding;  // the second record of a cross-region event

const OcsfClass& ocsf_class(domain::EventKind kind);
OcsfCode ocsf_activity(const domain::Event& event);
OcsfCode ocsf_severity(const domain::Event& event);  // the event's own, else derived

}  // namespace domicile::audit
