#include "detect/rule.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace domicile::detect {
namespace {

constexpr std::array<std::string_view, 3> kPostgresqlCodes = {"sql_session", "sql_statement",
                                                              "schema_changed"};
constexpr std::string_view kEventCode = "metadata.event_code";

std::unexpected<Error> wrong(const std::string& file, const YamlNode& node, std::string_view what) {
  return fail(Code::invalid, fmt::format("{}: line {}: {}", file, node.line, what));
}

Result<std::string> parse_logsource(const YamlNode& document, const std::string& file) {
  const YamlNode* source = document.find("logsource");
  if (source == nullptr || !source->is_map()) {
    return wrong(file, document, "logsource is missing: {product: domicile, service: audit}");
  }
  std::string service;
  bool product = false;
  for (const auto& [key, value] : source->members) {
    if (key == "definition") continue;
    if (key == "product" && value.text == "domicile") {
      product = true;
    } else if (key == "service" && (value.text == "audit" || value.text == "postgresql" ||
                                    value.text == "cloudtrail")) {
      service = value.text;
    } else {
      return wrong(file, value,
                   fmt::format("logsource {}: {} is no log of ours: product is domicile, "
                               "service is audit, postgresql or cloudtrail",
                               key, value.text));
    }
  }
  if (!product || service.empty()) {
    return wrong(file, *source, "logsource needs product: domicile and a service");
  }
  return service;
}

Result<SelectionMap> parse_map(const YamlNode& node, FieldIndex& index) {
  SelectionMap map;
  for (const auto& [key, value] : node.members) {
    // Keywords that must all be there stand under the key "|all".
    auto test = TRY(FieldMatch::parse(key == "|all" ? "|contains|all" : key, value));
    if (test.field().empty()) {
      map.keywords = std::move(test);
    } else {
      const std::size_t field = index.add(test.field());
      map.tests.emplace_back(field, std::move(test));
    }
  }
  return map;
}

Result<SelectionMap> parse_keywords(const YamlNode& node) {
  // A keyword is looked for anywhere in any value.
  SelectionMap map;
  map.keywords = TRY(FieldMatch::parse("|contains", node));
  return map;
}

Result<Selection> parse_selection(const std::string& name, const YamlNode& node,
                                  FieldIndex& index) {
  Selection selection;
  selection.name = name;
  const auto at_line = [](const YamlNode& at, std::string_view what) {
    return fail(Code::invalid, fmt::format("line {}: {}", at.line, what));
  };
  if (node.is_map()) {
    if (node.members.empty()) return at_line(node, "an empty selection: name a field");
    selection.any.push_back(TRY(parse_map(node, index)));
    return selection;
  }
  if (!node.is_list() || node.items.empty()) {
    return at_line(node,
                   "a selection is a map of fields, a list of such maps, or a list of keywords");
  }
  const bool maps = std::ranges::all_of(node.items, &YamlNode::is_map);
  if (!maps && !std::ranges::all_of(node.items, &YamlNode::is_text)) {
    return at_line(node, "a list is either of maps or of keywords, not of both");
  }
  if (!maps) {
    selection.any.push_back(TRY(parse_keywords(node)));
    return selection;
  }
  for (const YamlNode& item : node.items) {
    if (item.members.empty()) return at_line(item, "an empty selection: name a field");
    selection.any.push_back(TRY(parse_map(item, index)));
  }
  return selection;
}

// The event codes without which `map` cannot fit; nullopt: any.
using Codes = std::optional<std::vector<std::string>>;

Codes codes_of(const Selection& selection) {
  std::vector<std::string> all;
  for (const SelectionMap& map : selection.any) {
    std::vector<std::string> found;
    for (const auto& [field, test] : map.tests) {
      if (test.field() == kEventCode && found.empty()) found = test.exact_texts();
    }
    if (found.empty()) return std::nullopt;
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

Codes codes_of(const Condition& condition, const std::vector<Selection>& selections) {
  if (condition.kind == Condition::Kind::selection)
    return codes_of(selections[condition.selection]);
  if (condition.kind == Condition::Kind::negation) return std::nullopt;
  Codes out;
  if (condition.kind == Condition::Kind::all) {
    for (const Condition& part : condition.parts) {
      auto codes = codes_of(part, selections);
      if (codes && (!out || codes->size() < out->size())) out = std::move(codes);
    }
    return out;
  }
  out.emplace();
  for (const Condition& part : condition.parts) {
    const auto codes = codes_of(part, selections);
    if (!codes) return std::nullopt;
    out->insert(out->end(), codes->begin(), codes->end());
  }
  return out;
}

std::vector<std::string> event_codes(const Rule& rule) {
  auto codes = codes_of(rule.condition, rule.selections).value_or(std::vector<std::string>());
  std::ranges::sort(codes);
  codes.erase(std::ranges::unique(codes).begin(), codes.end());
  const auto outside = [&](const std::string& code) {
    if (rule.service == "cloudtrail") return code != "cloud_activity";
    return rule.service == "postgresql" &&
           std::ranges::find(kPostgresqlCodes, code) == kPostgresqlCodes.end();
  };
  if (codes.empty() && rule.service == "cloudtrail") return {"cloud_activity"};
  if (codes.empty() && rule.service == "postgresql") {
    return {kPostgresqlCodes.begin(), kPostgresqlCodes.end()};
  }
  std::erase_if(codes, outside);
  return codes;
}

}  // namespace

bool SelectionMap::matches(EventDocument& event) const {
  const bool fields = std::ranges::all_of(
      tests, [&](const auto& t) { return t.second.matches(event.values(t.first)); });
  return fields && (!keywords || keywords->matches(event.everything()));
}

bool Selection::matches(EventDocument& event) const {
  return std::ranges::any_of(any, [&](const SelectionMap& map) { return map.matches(event); });
}

bool Rule::matches(EventDocument& event) const {
  return condition.holds([&](std::size_t i) { return selections[i].matches(event); });
}

bool is_correlation(const YamlNode& document) { return document.find("correlation") != nullptr; }

Result<Rule> parse_rule(const YamlNode& document, const std::string& file, FieldIndex& index) {
  if (!document.is_map()) return wrong(file, document, "a rule is a map that begins with title");
  Rule rule;
  rule.head = TRY(parse_head(document, file));
  rule.service = TRY(parse_logsource(document, file));
  const YamlNode* detection = document.find("detection");
  if (detection == nullptr || !detection->is_map()) {
    return wrong(file, document, "detection is missing: selections and a condition");
  }
  const YamlNode* condition = detection->find("condition");
  if (condition == nullptr || !condition->is_text()) {
    return wrong(file, *detection,
                 "condition is missing, or a list: write one text with and, or, not");
  }
  if (detection->find("timeframe") != nullptr) {
    return wrong(file, *detection, "timeframe is not supported: write a correlation");
  }
  std::vector<std::string> names;
  for (const auto& [name, node] : detection->members) {
    if (name == "condition") continue;
    auto selection = parse_selection(name, node, index);
    if (!selection) return std::unexpected(std::move(selection.error()).within(file));
    rule.selections.push_back(std::move(*selection));
    names.push_back(name);
  }
  rule.condition_text = condition->text;
  auto parsed = Condition::parse(condition->text, names);
  if (!parsed) return wrong(file, *condition, parsed.error().message);
  rule.condition = std::move(*parsed);
  const bool bounded = rule.service != "audit" || codes_of(rule.condition, rule.selections);
  rule.event_codes = event_codes(rule);
  if (bounded && rule.event_codes.empty()) {
    return wrong(file, *condition,
                 fmt::format("no event of the service {} fits this condition", rule.service));
  }
  return rule;
}

}  // namespace domicile::detect
