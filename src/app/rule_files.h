// Where the rules of a command come from: the built-in ones, and a folder of the user's own.
#pragma once

#include <memory>
#include <string>

#include "detect/rule_set.h"

namespace domicile::app {

// `folder` empty: the built-in rules alone.
Result<std::unique_ptr<const detect::RuleSet>> load_rules(const std::string& folder);

}  // namespace domicile::app
