// What receivers are sent. Alertmanager (API v2): the open alerts again and again, each with an end
// a few rounds away, so that they end by themselves where this node falls silent; a closed one with
// its end. Webhooks: one CloudEvents 1.0 message (structured JSON) when an alert opens and one when
// it closes, signed as Standard Webhooks 1.0 say: HMAC-SHA-256 over "id.timestamp.body", so that the
// receiver knows who sent it, when, and whether it has seen it. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "compliance/alert_book.h"
#include "http/message.h"

namespace domicile::compliance {

struct AlertOrigin {
  std::string region;
  std::string url;  // the region's door: where the log is read
};

std::string alertmanager_body(const std::vector<Alert>& alerts, const AlertOrigin& origin,
                              WallTime now, std::chrono::milliseconds lasts);

struct WebhookMessage {
  std::string id;  // the same however often it is sent
  std::string body;
};
WebhookMessage webhook_message(const Alert& alert, const AlertOrigin& origin);

// "whsec_" and at least 24 bytes in base64, as a file holds it.
Result<Secret> parse_webhook_secret(const Secret& text);
http::Headers webhook_headers(const WebhookMessage& message, std::int64_t unix_seconds,
                              const Secret& key);

}  // namespace domicile::compliance
