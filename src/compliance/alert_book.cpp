#include "compliance/alert_book.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kOverflow = "further ones";

std::int64_t ms(WallTime time) { return time.time_since_epoch().count(); }
WallTime time_of(const Json& json, const char* name) {
  return WallTime(std::chrono::milliseconds(json.at(name).get<std::int64_t>()));
}

// A text is kept whole in a key: lengths tell ("a", "bc") from ("ab", "c").
std::string key_of(std::string_view rule, std::string_view organization, std::string_view subject) {
  return fmt::format("{}|{}:{}|{}", rule, organization.size(), organization, subject);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

Json json_of(const Alert& alert) {
  return {{"id", alert.id},
          {"name", alert.name},
          {"rule_id", alert.rule_id},
          {"title", alert.title},
          {"level", alert.level},
          {"tags", alert.tags},
          {"organization", alert.organization},
          {"subject", alert.subject},
          {"first_sequence", alert.first_sequence},
          {"last_sequence", alert.last_sequence},
          {"count", alert.count},
          {"opened_ms", ms(alert.opened)},
          {"last_seen_ms", ms(alert.last_seen)},
          {"closed_ms", ms(alert.closed)},
          {"hold_ms", alert.hold_ms.count()},
          {"test", alert.test}};
}

Alert alert_of(const Json& json) {
  Alert alert;
  alert.id = json.at("id").get<std::string>();
  alert.name = json.at("name").get<std::string>();
  alert.rule_id = json.at("rule_id").get<std::string>();
  alert.title = json.at("title").get<std::string>();
  alert.level = json.at("level").get<std::string>();
  alert.tags = json.at("tags").get<std::string>();
  alert.organization = json.at("organization").get<std::string>();
  alert.subject = json.at("subject").get<std::string>();
  alert.first_sequence = json.at("first_sequence").get<std::uint64_t>();
  alert.last_sequence = json.at("last_sequence").get<std::uint64_t>();
  alert.count = json.at("count").get<std::uint64_t>();
  alert.opened = time_of(json, "opened_ms");
  alert.last_seen = time_of(json, "last_seen_ms");
  alert.closed = time_of(json, "closed_ms");
  alert.hold_ms = std::chrono::milliseconds(json.at("hold_ms").get<std::int64_t>());
  alert.test = json.at("test").get<bool>();
  return alert;
}

}  // namespace

const Alert* AlertBook::see(const detect::Detection& detection, WallTime now, bool test) {
  const std::string& rule = detection.rule->id;
  std::string key = key_of(rule, detection.organization, detection.subject);
  auto found = open_.find(key);
  const bool overflow = found == open_.end() && open_.size() >= options_.alerts_max;
  if (overflow) {
    ++folded_;
    key = key_of(rule, "", kOverflow);
    found = open_.find(key);
  }
  if (found != open_.end()) {
    Alert& alert = found->second;
    alert.count += 1;
    alert.last_seen = now;
    alert.last_sequence = std::max(alert.last_sequence, detection.last_sequence);
    return nullptr;
  }
  Alert alert;
  alert.id = detection.id;
  alert.rule_id = rule;
  alert.name = detection.rule->name.empty() ? rule : detection.rule->name;
  alert.title = detection.rule->title;
  alert.level = detect::to_string(detection.rule->level);
  alert.tags = joined(detection.rule->tags);
  alert.organization = overflow ? "" : detection.organization;
  alert.subject = overflow ? std::string(kOverflow) : detection.subject;
  alert.first_sequence = detection.first_sequence;
  alert.last_sequence = detection.last_sequence;
  alert.count = 1;
  alert.opened = alert.last_seen = now;
  alert.hold_ms = std::chrono::milliseconds(detection.rule->hold_ms);
  alert.test = test;
  return &open_.emplace(std::move(key), std::move(alert)).first->second;
}

std::vector<Alert> AlertBook::close_quiet(WallTime now) {
  std::vector<Alert> closed;
  for (auto at = open_.begin(); at != open_.end();) {
    const auto own = at->second.hold_ms;
    if (now - at->second.last_seen < (own.count() > 0 ? own : options_.hold_ms)) {
      ++at;
      continue;
    }
    at->second.closed = now;
    closed.push_back(std::move(at->second));
    at = open_.erase(at);
  }
  return closed;
}

std::vector<Alert> AlertBook::open() const {
  std::vector<Alert> out;
  for (const auto& [key, alert] : open_) out.push_back(alert);
  return out;
}

std::string AlertBook::save() const {
  Json alerts = Json::object();
  for (const auto& [key, alert] : open_) alerts[key] = json_of(alert);
  return Json({{"alerts", std::move(alerts)}, {"folded", folded_}}).dump();
}

Result<void> AlertBook::load(std::string_view json) {
  try {
    const Json state = Json::parse(json);
    open_.clear();
    folded_ = state.at("folded").get<std::uint64_t>();
    for (const auto& [key, alert] : state.at("alerts").items()) open_.emplace(key, alert_of(alert));
  } catch (const Json::exception& problem) {
    return fail(Code::invalid, std::string("saved alerts: ") + problem.what());
  }
  return {};
}

std::string to_json(const Alert& alert) { return json_of(alert).dump(); }

Result<Alert> alert_from_json(std::string_view json) {
  try {
    return alert_of(Json::parse(json));
  } catch (const Json::exception& problem) {
    return fail(Code::invalid, std::string("a saved alert: ") + problem.what());
  }
}

}  // namespace domicile::compliance
