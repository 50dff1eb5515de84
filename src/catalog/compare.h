// Holds a catalog against a live schema: what a migration changed and nobody classified, and what
// the file says that the database does not have. A pure function; `domicile catalog check` runs it
// in CI.
#pragma once

#include <vector>

#include "catalog/propose.h"

namespace domicile::catalog {

// Errors mean that the two contradict each other; warnings, that something is unsafe or slow;
// notes, that the file can be tidied. By severity, then table. The kinds are listed in
// docs/catalog.md.
std::vector<Finding> compare(const Catalog& catalog, const Schema& schema);

}  // namespace domicile::catalog
