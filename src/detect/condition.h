// The condition of a Sigma rule: selections joined by `and`, `or`, `not` and parentheses, and the
// counting forms `1 of x*`, `any of them`, `all of x*`. Parsed once into a tree; which selections an
// event fits is asked as the tree needs to know. Aggregations behind a `|` are refused: correlations
// have taken their place. Pure.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::detect {

class Condition {
 public:
  // `selections`: the names that the condition may use, each of which it must use at least once.
  static Result<Condition> parse(std::string_view text, const std::vector<std::string>& selections);

  enum class Kind { selection, negation, all, any };
  Kind kind = Kind::selection;
  std::size_t selection = 0;  // index in `selections`
  std::vector<Condition> parts;

  bool holds(const std::function<bool(std::size_t selection)>& fits) const;
};

}  // namespace domicile::detect
