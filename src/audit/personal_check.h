// The personal fields that lie sealed beside a log's entries: what is sealed must be what the entry
// commits to, and nothing may outlive its entry. Without keys only the form can be checked, which
// finds damage.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "audit/log_source.h"
#include "audit/personal_vault.h"

namespace domicile::audit {

struct PersonalReport {
  std::uint64_t sealed = 0;    // entries with personal fields
  std::uint64_t opened = 0;    // of them, opened and equal to their commitments
  std::uint64_t withheld = 0;  // persons whose key is erased
};

// `source` was verified at `size`; `vault` may be null.
Result<PersonalReport> check_personal(const std::filesystem::path& folder, LogSource& source,
                                      std::uint64_t size, const PersonalVault* vault,
                                      const std::function<void(std::string)>& problem);

}  // namespace domicile::audit
