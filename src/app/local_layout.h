// The data folder of local regions: folders with their owners, the program and the application's
// files copied to where the accounts that run them can read (a checkout may lie in a home folder
// that they cannot enter), ports, certificates. All of it may be done again at every start.
#pragma once

#include "app/local_context.h"
#include "base/result.h"

namespace domicile::app {

Result<void> check_free_space(const std::filesystem::path& data);
Result<void> prepare_folders(const LocalContext& context);
Result<void> copy_files(const LocalContext& context);
// Keeps a region's ports when they are free; says which it had to change.
Result<void> choose_ports(LocalContext& context);
Result<void> make_certificates(const LocalContext& context);

}  // namespace domicile::app
