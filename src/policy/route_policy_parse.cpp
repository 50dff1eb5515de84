// Reads the route file. Every finding is collected with its line, so that one run shows them all.
#include <algorithm>
#include <set>

#include <toml++/toml.h>

#include "policy/route_reader.h"
#include "policy/route_tables.h"

namespace domicile::policy {
namespace {

constexpr std::size_t kMaxRoutes = 4096;

Defaults read_defaults(const toml::table& file, Findings& findings) {
  Defaults defaults;
  const toml::node* node = file.get("defaults");
  if (node == nullptr) return defaults;
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    findings.add(line_of(*node), "'defaults' must be a table: [defaults]");
    return defaults;
  }
  refuse_unknown_keys(*table, {"audit", "upstream"}, "[defaults]", findings);
  if (const auto audit = parse_audit(*table, findings)) defaults.audit = *audit;
  if (const std::string upstream = text_at(*table, "upstream", findings); !upstream.empty()) {
    if (!is_label(upstream))
      findings.add(line_of(*table), "an upstream's name is of a-z 0-9 _ -, starting with a letter");
    defaults.upstream = upstream;
  }
  return defaults;
}

bool share_a_method(const RouteRule& a, const RouteRule& b) {
  return std::ranges::any_of(
      a.methods, [&](Method m) { return std::ranges::find(b.methods, m) != b.methods.end(); });
}

void refuse_ambiguity(const std::vector<RouteRule>& rules, const std::vector<Pattern>& patterns,
                      Findings& findings) {
  for (std::size_t b = 0; b < rules.size(); ++b) {
    for (std::size_t a = 0; a < b; ++a) {
      if (!overlap(patterns[a], patterns[b]) || !share_a_method(rules[a], rules[b])) continue;
      const bool a_in_b = within(patterns[a], patterns[b]);
      const bool b_in_a = within(patterns[b], patterns[a]);
      if (a_in_b != b_in_a) continue;  // one is a special case of the other, and wins
      findings.add(
          rules[b].line,
          fmt::format("route '{}' ({}) and route '{}' ({}, line {}) match the same requests; {}",
                      rules[b].name, rules[b].path, rules[a].name, rules[a].path, rules[a].line,
                      a_in_b ? "remove one or give them different methods"
                             : "neither is a special case of the other: change one pattern"));
    }
  }
}

std::uint32_t literal_child(std::vector<RouteNode>& nodes, std::uint32_t at,
                            const std::string& text) {
  const auto edge = std::ranges::lower_bound(nodes[at].literals, text, {}, &RouteNode::Edge::text);
  if (edge != nodes[at].literals.end() && edge->text == text) return edge->node;
  const auto child = static_cast<std::uint32_t>(nodes.size());
  nodes[at].literals.insert(edge, {.text = text, .node = child});
  nodes.emplace_back();
  return child;
}

void plant(std::vector<RouteNode>& nodes, const Pattern& pattern, const RouteRule& rule) {
  std::uint32_t at = 0;
  for (const PatternSegment& segment : pattern) {
    if (segment.kind == PatternSegment::Kind::rest) break;
    if (segment.kind == PatternSegment::Kind::literal) {
      at = literal_child(nodes, at, segment.text);
    } else {
      if (nodes[at].parameter == kNoNode) {
        nodes[at].parameter = static_cast<std::uint32_t>(nodes.size());
        nodes.emplace_back();
      }
      at = nodes[at].parameter;
    }
  }
  const bool rest = !pattern.empty() && pattern.back().kind == PatternSegment::Kind::rest;
  RuleByMethod& rules = rest ? nodes[at].rest : nodes[at].here;
  for (const Method method : rule.methods)
    rules[static_cast<std::size_t>(method)] = static_cast<std::uint16_t>(rule.index);
}

std::vector<Pattern> read_routes(const toml::table& file, const Defaults& defaults,
                                 std::vector<RouteRule>& rules, Findings& findings) {
  std::vector<Pattern> patterns;
  const toml::node* node = file.get("route");
  const toml::array* routes = node == nullptr ? nullptr : node->as_array();
  if (routes == nullptr || routes->empty()) {
    findings.add(node == nullptr ? 1 : line_of(*node),
                 "the file has no [[route]]: every request would be refused");
    return patterns;
  }
  if (routes->size() > kMaxRoutes) {
    findings.add(line_of(*routes), fmt::format("more than {} routes", kMaxRoutes));
    return patterns;
  }
  std::set<std::string> names;
  for (const auto& item : *routes) {
    const toml::table* table = item.as_table();
    if (table == nullptr) {
      findings.add(line_of(item), "a route is a table: [[route]]");
      continue;
    }
    RouteReader reader(*table, defaults, findings);
    reader.read();
    reader.rule().index = static_cast<std::uint32_t>(rules.size());
    if (!reader.rule().name.empty() && !names.insert(reader.rule().name).second) {
      findings.add(reader.rule().line,
                   fmt::format("route name '{}' stands twice", reader.rule().name));
    }
    rules.push_back(std::move(reader.rule()));
    patterns.push_back(std::move(reader.pattern()));
  }
  return patterns;
}

}  // namespace

Result<std::shared_ptr<const RoutePolicy>> RoutePolicy::parse(std::string_view text,
                                                              std::string_view name) {
  Findings findings(name);
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    findings.add(error.source().begin.line, error.description());
    return findings.error();
  }
  refuse_unknown_keys(file, {"version", "defaults", "route"}, "the file", findings);
  const toml::node* version = file.get("version");
  if (version == nullptr || version->value_exact<std::int64_t>() != 1) {
    findings.add(version == nullptr ? 1 : line_of(*version), "the file must say version = 1");
  }
  const Defaults defaults = read_defaults(file, findings);
  auto tables = std::make_unique<Tables>();
  const std::vector<Pattern> patterns = read_routes(file, defaults, tables->rules, findings);
  if (findings.none()) refuse_ambiguity(tables->rules, patterns, findings);
  if (!findings.none()) return findings.error();

  tables->nodes.emplace_back();
  std::set<std::string> upstreams;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    plant(tables->nodes, patterns[i], tables->rules[i]);
    upstreams.insert(tables->rules[i].upstream);
  }
  tables->upstreams.assign(upstreams.begin(), upstreams.end());
  return std::shared_ptr<const RoutePolicy>(new RoutePolicy(std::move(tables)));
}

}  // namespace domicile::policy
