// Text into HTML and SVG. Names of tables and columns come from strangers: nothing reaches a page
// except through escaped().
#pragma once

#include <string>
#include <string_view>

namespace domicile::http {

// Fit for text and for attributes in double quotes. Control characters, and the invisible ones that
// turn or hide text (bidirectional and zero-width), become U+FFFD.
std::string escaped(std::string_view text);

// At most so many characters, the last one an ellipsis when some were left off. Not escaped.
std::string shortened(std::string_view text, std::size_t characters_max);

}  // namespace domicile::http
