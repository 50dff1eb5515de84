// A path pattern of the route file: "/orgs/{org}/files/{rest...}". Internal to the policy module.
//
// A {parameter} stands for one non-empty segment, {name...} at the end for one segment or more.
// Text is what the decoded, normalized path holds: no percent-encoding, no empty segment, no "." or
// "..".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::policy {

inline constexpr std::size_t kMaxSegments = 32;

struct PatternSegment {
  enum class Kind { literal, parameter, rest };
  Kind kind = Kind::literal;
  std::string text;  // the literal, or the parameter's name
};

using Pattern = std::vector<PatternSegment>;  // empty: "/"

Result<Pattern> parse_pattern(std::string_view text);

// Some path matches both.
bool overlap(const Pattern& a, const Pattern& b);
// Every path that matches `a` matches `b`.
bool within(const Pattern& a, const Pattern& b);

}  // namespace domicile::policy
