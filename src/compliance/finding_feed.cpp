#include "compliance/finding_feed.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;

// The texts of an event, "" where there is none.
struct Facts {
  explicit Facts(Json given) : json(std::move(given)) {}
  Json json;

  std::string text(const char* pointer) const {
    const Json::json_pointer at(pointer);
    if (!json.contains(at)) return {};
    const Json& value = json.at(at);
    return value.is_string() ? value.get<std::string>() : std::string();
  }
  WallTime time() const {
    return WallTime(std::chrono::milliseconds(json.value("time", std::int64_t{0})));
  }
};

std::string severity_of(const Facts& facts) {
  std::string name = facts.text("/severity");
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* known : {"low", "medium", "high", "critical", "fatal"}) {
    if (name == known) return name;
  }
  return "informational";
}

Result<void> feed_check(store::FindingStore& store, const Facts& facts, std::uint64_t sequence) {
  const std::string check = facts.text("/compliance/control");
  const std::string object = facts.text("/resources/0/name");
  const std::string status = facts.text("/compliance/status");
  if (check.empty()) return {};
  const bool of_check = check.starts_with("DOM-");
  if (!of_check) {
    return store.seen({check + (facts.text("/compliance/status_code").empty()
                                    ? ""
                                    : "." + facts.text("/compliance/status_code")),
                       object, "reference", facts.text("/finding_info/title"), severity_of(facts)},
                      facts.time(), sequence);
  }
  const std::string region = object.substr(0, object.find('/'));
  using store::EvidenceOutcome;
  const auto outcome = status == "Pass"   ? EvidenceOutcome::pass
                       : status == "Fail" ? EvidenceOutcome::fail
                                          : EvidenceOutcome::no_evidence;
  TRY(store.evidence(check, region, outcome, facts.time()));
  if (outcome == EvidenceOutcome::pass) {
    return store.passed(check, object, facts.time(), sequence);
  }
  if (outcome == EvidenceOutcome::no_evidence) return {};
  return store.seen({check, object, "check", facts.text("/finding_info/title"), severity_of(facts)},
                    facts.time(), sequence);
}

Result<void> feed_detection(store::FindingStore& store, const Facts& facts,
                            std::uint64_t sequence) {
  const std::string rule = facts.text("/unmapped/details/rule");
  if (rule.empty() || facts.text("/activity_name") != "Create") return {};
  std::string object = facts.text("/metadata/tenant_uid");
  const std::string subject = facts.text("/resources/0/name");
  if (!subject.empty()) object += (object.empty() ? "" : " ") + subject;
  return store.seen(
      {rule, object, "detection", facts.text("/finding_info/title"), severity_of(facts)},
      facts.time(), sequence);
}

}  // namespace

Result<void> feed_finding(store::FindingStore& store, const WatchedEvent& event) {
  const bool finding = event.json.find("\"event_code\":\"finding\"") != std::string::npos;
  const bool detection = event.json.find("\"event_code\":\"detection\"") != std::string::npos;
  if (!finding && !detection) return {};
  Json json = Json::parse(event.json, nullptr, false);
  if (!json.is_object()) return {};
  const Facts facts(std::move(json));
  return finding ? feed_check(store, facts, event.sequence)
                 : feed_detection(store, facts, event.sequence);
}

Result<std::size_t> follow_findings(store::FindingStore& store, const DetectionPorts& ports,
                                    const std::string& log, std::size_t count) {
  const std::uint64_t before = TRY(store.position(log)).value_or(0);
  std::uint64_t from = before + 1;
  auto events = ports.read(from, count);
  if (!events && events.error().code == Code::not_found) {
    from = std::max(from, TRY(ports.first()));
    events = ports.read(from, count);
  }
  if (!events) return std::unexpected(std::move(events).error());
  if (events->empty()) return 0;
  TRY(store.advance(log, before, events->back().sequence, [&]() -> Result<void> {
    for (const WatchedEvent& event : *events) TRY(feed_finding(store, event));
    return {};
  }));
  return events->size();
}

}  // namespace domicile::compliance
