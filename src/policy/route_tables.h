// The compiled form of a route file. Internal to route_policy*.cpp.
//
// The walk may try up to three children of a node, but parse() bounds what that can cost: patterns
// are at most 32 segments deep, and a literal child is left only when nothing below it matched.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/route_pattern.h"
#include "policy/route_policy.h"

namespace domicile::policy {

inline constexpr std::size_t kMethodCount = 7;
inline constexpr std::uint16_t kNoRule = 0xffff;
inline constexpr std::uint32_t kNoNode = 0xffffffff;

using RuleByMethod = std::array<std::uint16_t, kMethodCount>;

inline constexpr RuleByMethod kNoRules = [] {
  RuleByMethod none{};
  none.fill(kNoRule);
  return none;
}();

struct RouteNode {
  struct Edge {
    std::string text;
    std::uint32_t node = 0;
  };
  std::vector<Edge> literals;  // sorted by text
  std::uint32_t parameter = kNoNode;
  RuleByMethod here = kNoRules;  // a pattern ends at this node
  RuleByMethod rest = kNoRules;  // one segment or more follow, whatever they are
};

struct RoutePolicy::Tables {
  std::vector<RouteRule> rules;
  std::vector<RouteNode> nodes;  // nodes[0] is "/"
  std::vector<std::string> upstreams;
};

}  // namespace domicile::policy
