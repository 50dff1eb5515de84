// Rows that stay in the master region: those whose column with the link rule `refuse` is set (catalog/catalog.h, Link).
// Their changes do not travel; a row that comes to be one of them is deleted elsewhere, and one that ceases to be is
// stored there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/pgoutput.h"

namespace domicile::reference {

// A relation of the stream as far as this needs it: places of columns.
struct Withholding {
  std::vector<std::size_t> refuse;  // empty: everything travels
  std::vector<std::size_t> key;     // of the replica identity
};

// What travels instead of an insert, update or delete: the message itself, a delete of the row, or nothing. Code::invalid for
// a row that does not fit.
Result<std::optional<std::string>> without_refused(const Withholding& relation,
                                                   std::string_view message);

}  // namespace domicile::reference
