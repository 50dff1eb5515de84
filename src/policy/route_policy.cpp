#include "policy/route_policy.h"

#include <algorithm>
#include <array>

#include "policy/route_tables.h"

namespace domicile::policy {
namespace {

constexpr std::string_view kMethods[kMethodCount] = {"GET",   "HEAD",   "POST",   "PUT",
                                                     "PATCH", "DELETE", "OPTIONS"};

struct Split {
  std::array<std::string_view, kMaxSegments> segments;
  std::size_t count = 0;
  bool ok = false;
};

Split split(std::string_view path) {
  Split out;
  if (!path.starts_with('/')) return out;
  path.remove_prefix(1);
  if (path.empty()) {
    out.ok = true;
    return out;
  }
  for (;;) {
    const auto slash = path.find('/');
    if (slash == 0 || path.empty() || out.count == kMaxSegments) return out;
    out.segments[out.count++] = path.substr(0, slash);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  out.ok = true;
  return out;
}

// One request's walk through the trie, the most special way first.
class Walk {
 public:
  Walk(const RoutePolicy::Tables& tables, const Split& path, std::optional<Method> method)
      : tables_(tables), path_(path), method_(method) {}

  const RouteRule* from(std::uint32_t node_at, std::size_t depth) {
    const RouteNode& node = tables_.nodes[node_at];
    if (depth == path_.count) return chosen(node.here);
    const std::string_view segment = path_.segments[depth];
    const auto edge = std::ranges::lower_bound(node.literals, segment, {}, &RouteNode::Edge::text);
    if (edge != node.literals.end() && edge->text == segment) {
      if (const RouteRule* rule = from(edge->node, depth + 1)) return rule;
    }
    if (node.parameter != kNoNode) {
      if (const RouteRule* rule = from(node.parameter, depth + 1)) return rule;
    }
    return chosen(node.rest);
  }
  bool path_known() const { return path_known_; }

 private:
  const RouteRule* chosen(const RuleByMethod& rules) {
    for (const std::uint16_t rule : rules) path_known_ |= rule != kNoRule;
    if (!method_) return nullptr;
    const std::uint16_t rule = rules[static_cast<std::size_t>(*method_)];
    return rule == kNoRule ? nullptr : &tables_.rules[rule];
  }

  const RoutePolicy::Tables& tables_;
  const Split& path_;
  std::optional<Method> method_;
  bool path_known_ = false;
};

}  // namespace

std::string_view to_string(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

std::optional<Method> parse_method(std::string_view text) {
  for (std::size_t i = 0; i < kMethodCount; ++i) {
    if (text == kMethods[i]) return static_cast<Method>(i);
  }
  return std::nullopt;
}

RoutePolicy::RoutePolicy(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
RoutePolicy::~RoutePolicy() = default;

std::span<const RouteRule> RoutePolicy::rules() const { return tables_->rules; }
std::span<const std::string> RoutePolicy::upstreams() const { return tables_->upstreams; }

RouteMatch RoutePolicy::match(std::string_view method, std::string_view path) const {
  const Split segments = split(path);
  if (!segments.ok) return {};
  Walk walk(*tables_, segments, parse_method(method));
  const RouteRule* rule = walk.from(0, 0);
  if (rule == nullptr) {
    return {
        .outcome = walk.path_known() ? MatchOutcome::method_not_allowed : MatchOutcome::no_route,
        .rule = nullptr,
        .organization_in_path = {}};
  }
  RouteMatch found{.outcome = MatchOutcome::found, .rule = rule, .organization_in_path = {}};
  if (rule->place == OrganizationPlace::path) {
    found.organization_in_path = segments.segments[rule->organization_segment];
  }
  return found;
}

}  // namespace domicile::policy
