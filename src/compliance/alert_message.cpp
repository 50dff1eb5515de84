#include "compliance/alert_message.h"

#include <array>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "crypto/hmac.h"

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kKeyBytesMin = 24;
constexpr std::string_view kKeyPrefix = "whsec_";

// RFC 3339, milliseconds, UTC.
std::string rfc3339(WallTime time) {
  const std::int64_t ms = time.time_since_epoch().count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text.data(), ms % 1000);
}

std::string where_to_look(const Alert& alert, const AlertOrigin& origin) {
  if (alert.first_sequence == 0) return fmt::format("The log of {} itself", origin.region);
  return fmt::format("Records {} to {} of the log of {}", alert.first_sequence, alert.last_sequence,
                     origin.region);
}

Json labels_of(const Alert& alert, const AlertOrigin& origin) {
  Json labels = {{"alertname", alert.name},
                 {"severity", alert.level},
                 {"region", origin.region},
                 {"rule_id", alert.rule_id},
                 {"source", "domicile"}};
  if (!alert.organization.empty()) labels["organization"] = alert.organization;
  if (!alert.subject.empty()) labels["subject"] = alert.subject;
  if (alert.test) labels["test"] = "true";
  return labels;
}

Json annotations_of(const Alert& alert, const AlertOrigin& origin) {
  return {{"summary", (alert.test ? "TEST: " : "") + alert.title},
          {"records", where_to_look(alert, origin)},
          {"detections", std::to_string(alert.count)},
          {"criteria", alert.tags}};
}

}  // namespace

std::string alertmanager_body(const std::vector<Alert>& alerts, const AlertOrigin& origin,
                              WallTime now, std::chrono::milliseconds lasts) {
  Json out = Json::array();
  for (const Alert& alert : alerts) {
    out.push_back({{"startsAt", rfc3339(alert.opened)},
                   {"endsAt", rfc3339(alert.open() ? now + lasts : alert.closed)},
                   {"labels", labels_of(alert, origin)},
                   {"annotations", annotations_of(alert, origin)},
                   {"generatorURL", origin.url}});
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

WebhookMessage webhook_message(const Alert& alert, const AlertOrigin& origin) {
  const char* state = alert.open() ? "firing" : "resolved";
  WebhookMessage message;
  message.id = fmt::format("{}.{}", alert.id, state);
  const Json body = {{"specversion", "1.0"},
                     {"id", message.id},
                     {"source", "/domicile/" + origin.region},
                     {"type", fmt::format("domicile.alert.{}", state)},
                     {"subject", alert.name},
                     {"time", rfc3339(alert.open() ? alert.opened : alert.closed)},
                     {"datacontenttype", "application/json"},
                     {"data",
                      {{"alert", alert.id},
                       {"state", state},
                       {"test", alert.test},
                       {"rule", alert.rule_id},
                       {"name", alert.name},
                       {"title", alert.title},
                       {"severity", alert.level},
                       {"criteria", alert.tags},
                       {"region", origin.region},
                       {"organization", alert.organization},
                       {"subject", alert.subject},
                       {"first_sequence", alert.first_sequence},
                       {"last_sequence", alert.last_sequence},
                       {"detections", alert.count},
                       {"log", origin.url}}}};
  message.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return message;
}

Result<Secret> parse_webhook_secret(const Secret& text) {
  std::string_view encoded = text.reveal();
  if (!encoded.starts_with(kKeyPrefix)) {
    return fail(Code::invalid,
                "a webhook's secret begins with whsec_: make one with: "
                "echo whsec_$(openssl rand -base64 32)");
  }
  encoded.remove_prefix(kKeyPrefix.size());
  auto bytes = from_base64(encoded);
  if (!bytes || bytes->size() < kKeyBytesMin) {
    return fail(Code::invalid, fmt::format("a webhook's secret is whsec_ and at least {} bytes in "
                                           "base64: make one with: echo whsec_$(openssl rand "
                                           "-base64 32)",
                                           kKeyBytesMin));
  }
  return Secret(std::move(*bytes));
}

http::Headers webhook_headers(const WebhookMessage& message, std::int64_t unix_seconds,
                              const Secret& key) {
  crypto::HmacSha256 hmac(key);
  const auto mac = hmac.mac(fmt::format("{}.{}.{}", message.id, unix_seconds, message.body));
  return {{"content-type", "application/cloudevents+json; charset=utf-8"},
          {"webhook-id", message.id},
          {"webhook-timestamp", std::to_string(unix_seconds)},
          {"webhook-signature", "v1," + to_base64(crypto::view(mac))}};
}

}  // namespace domicile::compliance
