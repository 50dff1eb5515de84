#include "app/local_install.h"

namespace domicile::app {
Result<void> install_domicile(LocalContext&, const LocalRegion&, const LocalPostgres&) {
  return {};
}
Result<void> install_registry(LocalContext&, const LocalPostgres&) { return {}; }
Result<void> open_region(LocalContext&, const LocalRegion&, const LocalPostgres&) { return {}; }
}  // namespace domicile::app
