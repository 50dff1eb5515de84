// Changes the mode of some tables in a catalog's text and nothing else: comments, order and blanks
// stay as the reviewers wrote them. The result is parsed again and compared, so what comes out is
// exactly the catalog that was meant, or an error that names the line to edit by hand.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace domicile::catalog {

// Code::invalid: the text is no catalog, a table is not in it, or its layout is one that this does
// not edit (reason "catalog_layout").
Result<std::string> edit_mode(std::string_view text, std::string_view filename,
                              const std::set<QualifiedName>& tables, Mode mode);

}  // namespace domicile::catalog
