#include "policy/route_policy.h"

#include <algorithm>
#include <array>

#include "policy/route_tables.h"

namespace domicile::policy {
namespace {

constexpr std::string_view kMethods[kMethodCount] = {"GET",   "HEAD",   "POST",   "PUT",
                                                     "PATCH", "DELETE", "OPTIONS"};

struct Split {
  std::string_view path;
  std::array<std::uint32_t, kMaxSegments> starts;  // only the first `count` are set
  std::array<std::uint32_t, kMaxSegments> ends;
  std::size_t count = 0;
  bool ok = false;

  std::string_view segment(std::size_t i) const {
    return path.substr(starts[i], ends[i] - starts[i]);
  }
};

Split split(std::string_view path) {
  Split out;  // NOLINT: the arrays are filled as far as they are read
  out.path = path;
  if (!path.starts_with('/') || path.size() > UINT32_MAX) return out;
  if (path.size() == 1) {
    out.ok = true;
    return out;
  }
  for (std::size_t from = 1;;) {
    const auto slash = std::min(path.find('/', from), path.size());
    if (slash == from || out.count == kMaxSegments) return out;
    out.starts[out.count] = static_cast<std::uint32_t>(from);
    out.ends[out.count++] = static_cast<std::uint32_t>(slash);
    if (slash == path.size()) break;
    from = slash + 1;
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
    const std::string_view segment = path_.segment(depth);
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
    found.organization_in_path = segments.segment(rule->organization_segment);
  }
  return found;
}

}  // namespace domicile::policy
