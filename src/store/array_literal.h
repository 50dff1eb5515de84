// A list of texts as PostgreSQL's array literal: {"a","b\"c"}.
#pragma once

#include <string>
#include <vector>

namespace domicile::store {

inline std::string array_literal(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() == 1 ? "\"" : ",\"";
    for (char c : item) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "}";
}

}  // namespace domicile::store
