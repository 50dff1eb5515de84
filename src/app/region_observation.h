// What `region observe --report` and the mode verbs print: text for people, JSON for machines.
#pragma once

#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "store/catalog_apply.h"
#include "store/mode_change.h"
#include "store/observation.h"

namespace domicile::app {

std::string observation_text(const store::ObservationReport& report);
std::string observation_json(const store::ObservationReport& report);

struct ModeOutcome {
  catalog::Mode mode = catalog::Mode::off;
  bool dry_run = false;
  bool refused = false;      // strangers or refusals stand in the way, nothing was changed
  bool file_edited = false;  // or would be
  std::string file;
  std::vector<store::TableOutcome> tables;
  std::vector<std::string> database;  // statements on the database itself
  std::vector<store::ValidateOutcome> validated;
  store::ModeChange change;
  bool blocked() const;
};
std::string mode_text(const ModeOutcome& outcome);
std::string mode_json(const ModeOutcome& outcome);

}  // namespace domicile::app
