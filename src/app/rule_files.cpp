#include "app/rule_files.h"

namespace domicile::app {

Result<std::unique_ptr<const detect::RuleSet>> load_rules(const std::string& folder) {
  auto files = detect::built_in_rules();
  if (!folder.empty()) {
    for (auto& file : TRY(detect::read_rule_folder(folder))) files.push_back(std::move(file));
  }
  return detect::RuleSet::create(files);
}

}  // namespace domicile::app
