// Columns as wide as their widest cell, for people at a terminal. Lengths count characters, not
// bytes; control characters are shown as "?".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace domicile::app {

// Lines end with a newline and without trailing blanks. `right`: columns (from 0) of numbers.
std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<std::size_t>& right = {});
std::string printable(std::string_view text);

}  // namespace domicile::app
