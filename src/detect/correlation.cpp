#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "detect/rule.h"

namespace domicile::detect {
namespace {

constexpr std::size_t kThresholdMax = 10'000;

struct Reader {
  const std::string& file;
  Correlation& out;

  std::unexpected<Error> wrong(const YamlNode& node, std::string_view what) const {
    return fail(Code::invalid, fmt::format("{}: line {}: {}", file, node.line, what));
  }

  Result<std::vector<std::string>> texts(const YamlNode& node, std::string_view what) const {
    std::vector<std::string> found;
    if (node.is_text()) return std::vector{node.text};
    if (node.is_list()) {
      for (const auto& item : node.items) {
        if (!item.is_text()) return wrong(item, what);
        found.push_back(item.text);
      }
    }
    if (found.empty() || found.size() > 16) return wrong(node, what);
    return found;
  }

  Result<void> type(const YamlNode& node) {
    using Named = std::pair<std::string_view, CorrelationType>;
    static constexpr std::array kTypes = {
        Named{"event_count", CorrelationType::event_count},
        Named{"value_count", CorrelationType::value_count},
        Named{"temporal", CorrelationType::temporal},
        Named{"temporal_ordered", CorrelationType::temporal_ordered}};
    const auto found = std::ranges::find(kTypes, node.text, &Named::first);
    if (found == kTypes.end()) {
      return wrong(node, fmt::format("the correlation \"{}\" is not supported: event_count, "
                                     "value_count, temporal and temporal_ordered are",
                                     node.text));
    }
    out.type = found->second;
    return {};
  }

  Result<void> condition(const YamlNode& node) {
    constexpr std::string_view kShape =
        "condition is {gte: N} or {gt: N}: a log that is read as it grows can count up, and never "
        "knows that nothing more will come";
    if (!node.is_map()) return wrong(node, kShape);
    for (const auto& [key, value] : node.members) {
      if (key == "field") {
        out.field = value.text;
        continue;
      }
      std::size_t number = 0;
      const auto [end, error] =
          std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
      if ((key != "gte" && key != "gt") || out.threshold != 0) return wrong(value, kShape);
      if (error != std::errc() || end != value.text.data() + value.text.size() || number < 1 ||
          number > kThresholdMax) {
        return wrong(value, fmt::format("a count is from 1 to {}", kThresholdMax));
      }
      out.threshold = key == "gt" ? number + 1 : number;
    }
    if (out.threshold == 0) return wrong(node, kShape);
    return {};
  }

  Result<void> member(const std::string& key, const YamlNode& value, FieldIndex& index) {
    if (key == "type") return type(value);
    if (key == "rules") {
      out.rules = TRY(texts(value, "rules is a list of up to 16 names or ids of rules"));
    } else if (key == "group-by") {
      for (auto& field : TRY(texts(value, "group-by is a list of up to 16 fields"))) {
        const std::size_t number = index.add(field);
        out.group_by.emplace_back(std::move(field), number);
      }
    } else if (key == "timespan") {
      const auto span = parse_span_ms(value.text);
      if (!span) return wrong(value, "timespan is a time such as 30s, 10m, 2h or 7d, at most 31d");
      out.span_ms = *span;
    } else if (key == "condition") {
      return condition(value);
    } else if (key == "generate") {
      if (value.text != "true" && value.text != "false")
        return wrong(value, "generate is true or false");
      out.generate = value.text == "true";
    } else {
      return wrong(value, fmt::format("\"{}\" is not supported in a correlation: type, rules, "
                                      "group-by, timespan, condition and generate are",
                                      key));
    }
    return {};
  }
};

}  // namespace

Result<Correlation> parse_correlation(const YamlNode& document, const std::string& file,
                                      FieldIndex& index) {
  Correlation correlation;
  correlation.head = TRY(parse_head(document, file));
  Reader reader{file, correlation};
  const YamlNode& body = *document.find("correlation");
  if (document.find("detection") != nullptr || document.find("logsource") != nullptr) {
    return reader.wrong(document,
                        "a correlation has no detection and no logsource of its own: put "
                        "them into a rule, in a document before it");
  }
  for (const auto& [key, value] : body.members) TRY(reader.member(key, value, index));
  if (body.find("type") == nullptr) return reader.wrong(body, "a correlation needs its type");
  if (correlation.rules.empty()) return reader.wrong(body, "a correlation needs its rules");
  if (correlation.span_ms == 0) return reader.wrong(body, "a correlation needs its timespan");
  const bool temporal = correlation.type == CorrelationType::temporal ||
                        correlation.type == CorrelationType::temporal_ordered;
  if (temporal && correlation.rules.size() < 2) {
    return reader.wrong(body, "a temporal correlation needs two rules or more");
  }
  if (temporal && correlation.threshold != 0) {
    return reader.wrong(body,
                        "a temporal correlation has no condition: all of its rules must match");
  }
  if (!temporal && correlation.threshold == 0) {
    return reader.wrong(body, "a correlation that counts needs its condition, such as {gte: 10}");
  }
  if ((correlation.type == CorrelationType::value_count) == correlation.field.empty()) {
    return reader.wrong(body, "value_count, and it alone, needs the field of its condition");
  }
  if (!correlation.field.empty()) correlation.field_number = index.add(correlation.field);
  return correlation;
}

}  // namespace domicile::detect
