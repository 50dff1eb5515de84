#include "detect/detector.h"

#include <deque>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "crypto/sha256.h"
#include "detect/correlator.h"

namespace domicile::detect {
namespace {

using Json = nlohmann::json;

std::string detection_id(const RuleHead& rule, std::uint64_t first, std::uint64_t last) {
  const std::string text = fmt::format("{}\n{}\n{}", rule.id, first, last);
  return to_hex(crypto::view(crypto::sha256(text)).substr(0, 16));
}

// Texts in a list, so that ("a", "bc") and ("ab", "c") are two groups.
std::string group_key(const Correlation& correlation, EventDocument& event) {
  std::string key;
  for (const auto& [name, field] : correlation.group_by) {
    const auto values = event.values(field);
    const std::string text = values.empty() ? std::string() : values.front().as_text();
    key += fmt::format("{}:{}", text.size(), text);
  }
  return key;
}

std::string definition(const Correlation& correlation) { return correlation.head.source_sha256; }

}  // namespace

struct Detector::State {
  State(const RuleSet& set, std::size_t groups_max) : rules(set), event(set.fields()) {
    for (const Correlation& c : set.correlations()) {
      correlators.emplace_back(c.type, c.span_ms, c.threshold, c.rules.size(), groups_max);
    }
  }
  const RuleSet& rules;
  EventDocument event;
  std::deque<Correlator> correlators;

  Detection detection(const RuleHead& rule, std::uint64_t first, std::uint64_t last,
                      std::uint64_t count) const {
    Detection found;
    found.id = detection_id(rule, first, last);
    found.rule = &rule;
    found.time_ms = event.time_ms();
    found.first_sequence = first;
    found.last_sequence = last;
    found.count = count;
    found.organization = event.first("metadata.tenant_uid");
    found.subject = event.first("compliance.control");
    if (found.subject.empty()) {
      found.subject = event.first("unmapped.operation");
    } else {
      // A finding is about one check of one object.
      found.subject += " " + event.first("resources.name");
    }
    return found;
  }

  void tell(const std::vector<RuleSet::Listener>& listeners, std::uint64_t sequence,
            std::vector<Detection>& out) {
    for (const auto& listener : listeners) {
      const Correlation& c = rules.correlations()[listener.correlation];
      std::string value;
      if (c.type == CorrelationType::value_count) {
        const auto values = event.values(c.field_number);
        if (values.empty()) continue;
        value = values.front().as_text();
      }
      const auto match = correlators[listener.correlation].see(listener.which, group_key(c, event),
                                                               value, event.time_ms(), sequence);
      if (!match) continue;
      if (rules.correlation_detects(listener.correlation)) {
        out.push_back(detection(c.head, match->first_sequence, match->last_sequence, match->count));
      }
      tell(rules.listeners_of_correlation(listener.correlation), sequence, out);
    }
  }
};

Detector::Detector(const RuleSet& rules, std::size_t groups_max)
    : state_(std::make_unique<State>(rules, groups_max)) {}
Detector::~Detector() = default;

Result<std::vector<Detection>> Detector::feed(std::uint64_t sequence, std::string_view json) {
  State& s = *state_;
  TRY(s.event.load(json));
  std::vector<Detection> out;
  const auto& rules = s.rules.rules();
  for (const std::size_t i : s.rules.candidates(s.event.first("metadata.event_code"))) {
    if (!rules[i].matches(s.event)) continue;
    if (s.rules.rule_detects(i)) out.push_back(s.detection(rules[i].head, sequence, sequence, 1));
    s.tell(s.rules.listeners_of_rule(i), sequence, out);
  }
  return out;
}

std::uint64_t Detector::groups_given_up() const {
  std::uint64_t sum = 0;
  for (const Correlator& c : state_->correlators) sum += c.given_up();
  return sum;
}

std::size_t Detector::groups() const {
  std::size_t sum = 0;
  for (const Correlator& c : state_->correlators) sum += c.groups();
  return sum;
}

std::string Detector::save() const {
  Json out = Json::object();
  const auto& correlations = state_->rules.correlations();
  for (std::size_t i = 0; i < correlations.size(); ++i) {
    out[correlations[i].head.id] = {{"definition", definition(correlations[i])},
                                    {"state", Json::parse(state_->correlators[i].save())}};
  }
  return out.dump();
}

Result<void> Detector::load(std::string_view json) {
  const Json all = Json::parse(json, nullptr, false);
  if (!all.is_object())
    return fail(Code::invalid, "the saved state of the detections is no JSON object");
  const auto& correlations = state_->rules.correlations();
  for (std::size_t i = 0; i < correlations.size(); ++i) {
    const auto found = all.find(correlations[i].head.id);
    if (found == all.end() || !found->is_object() || !found->contains("state") ||
        found->value("definition", "") != definition(correlations[i])) {
      continue;
    }
    TRY(state_->correlators[i].load(found->at("state").dump()));
  }
  return {};
}

}  // namespace domicile::detect
