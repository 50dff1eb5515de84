// A picture of a schema: one box a table, coloured by class, in columns by how many steps lead to its
// organization, with its foreign keys. Inline SVG without scripts, fonts or references to elsewhere.
#pragma once

#include <string>

#include "catalog/catalog.h"
#include "catalog/schema.h"

namespace domicile::app {

std::string schema_picture(const catalog::Catalog& catalog, const catalog::Schema& schema);

}  // namespace domicile::app
