#include "store/way_sql.h"

#include <fmt/format.h>

#include "pg/connection.h"
#include "store/guard_sql.h"

namespace domicile::store {

using pg::quote_identifier;

Followed follow(const catalog::Way& way, const std::string& base, const std::string& prefix) {
  Followed out;
  std::string child = base;
  for (std::size_t i = 0; i < way.steps.size(); ++i) {
    const catalog::PathStep& step = way.steps[i];
    const std::string parent = fmt::format("{}{}", prefix, i);
    std::string on;
    std::string set;
    for (std::size_t k = 0; k < step.columns.size(); ++k) {
      const std::string mine = child + "." + quote_identifier(step.columns[k]);
      on += fmt::format("{}{}.{} = {}", k == 0 ? "" : " AND ", parent,
                        quote_identifier(step.referenced_columns[k]), mine);
      set += fmt::format("{}{} IS NOT NULL", k == 0 ? "" : " AND ", mine);
    }
    out.joins += fmt::format("\n  LEFT JOIN {} {} ON {}", quoted(step.references), parent, on);
    out.orphan += fmt::format(" OR ({} AND {}.{} IS NULL)", set, parent,
                              quote_identifier(step.referenced_columns[0]));
    child = parent;
  }
  out.organization = fmt::format("{}.{}::text", child, quote_identifier(way.key));
  out.missing = fmt::format("({} IS NULL AND NOT ({}))", out.organization, out.orphan);
  return out;
}

}  // namespace domicile::store
