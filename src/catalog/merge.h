// Brings a new proposal into the catalog file that people have edited: sections that a person
// decided stay byte for byte, with their comments and their place; proposed sections are replaced;
// new ones are added.
#pragma once

#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace domicile::catalog {

// `text` is the file as it stands and parses to `before`; `after` is what it shall say. The result
// parses to `after`, or the call fails (Code::conflict) and says what in the file's layout is in
// the way.
Result<std::string> merge_into(std::string_view text, const Catalog& before, const Catalog& after);

}  // namespace domicile::catalog
