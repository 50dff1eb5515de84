// Whose checkpoints a verb believes: --key, --key-file and --policy.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "base/result.h"
#include "tlog/policy.h"

namespace domicile::app {

struct LogPolicyOption {
  std::vector<std::string> keys;
  std::vector<std::string> key_files;
  std::string policy_file;

  void add_to(CLI::App& verb);
  // nullopt: none of them was given.
  Result<std::optional<tlog::Policy>> load() const;
  // The same where it is needed.
  Result<tlog::Policy> required() const;
};

}  // namespace domicile::app
