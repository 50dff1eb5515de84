#include "app/node_files.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "crypto/sha256.h"

namespace domicile::app {

Result<LoadedRoutes> load_routes(const NodeConfig& config) {
  const std::string text = TRY(read_file(config.routes_file, 4u << 20));
  auto policy = TRY(policy::RoutePolicy::parse(text, config.routes_file.string()));
  for (const std::string& name : policy->upstreams()) {
    if (name == "app") continue;
    return fail(Code::invalid,
                fmt::format("{}: upstream '{}' is not configured; this node has one, \"app\"",
                            config.routes_file.string(), name));
  }
  return LoadedRoutes{std::move(policy), crypto::sha256_hex(text)};
}

Result<Secret> load_authorize_token(const NodeConfig& config) {
  if (config.authorize_token_file.empty()) return Secret();
  Secret token = TRY(read_secret_file(config.authorize_token_file));
  if (token.reveal().size() < 32) {
    return fail(Code::invalid, fmt::format("{}: has at least 32 characters; make one with: "
                                           "openssl rand -hex 32",
                                           config.authorize_token_file.string()));
  }
  return token;
}

void note_reload(domain::EventSink& events, const Clock& clock, const NodeConfig& config,
                 std::string_view part, const std::filesystem::path& file,
                 const Result<void>& outcome, std::string_view sha256) {
  constexpr std::size_t kReasonBytesMax = 500;
  domain::Event event;
  event.kind = part.ends_with("certificate") || part == "authorize_token"
                   ? domain::EventKind::key_changed
                   : domain::EventKind::config_changed;
  event.outcome = outcome ? domain::Outcome::allowed : domain::Outcome::failed;
  event.activity = domain::Activity::update;
  event.time = clock.now();
  event.region = config.region;
  event.operation = fmt::format("{}.reload", part);
  event.resource = file.filename().string();
  if (!outcome) {
    event.reason = "not_usable";
    event.details.emplace_back("why", outcome.error().message.substr(0, kReasonBytesMax));
  } else if (!sha256.empty()) {
    event.details.emplace_back("sha256", sha256);
  }
  if (outcome) {
    log_info("reload", fmt::format("{}: read again and in force", file.string()));
  } else {
    log_error("reload", fmt::format("{} stays as it was: {}", part, outcome.error().message));
  }
  if (const auto recorded = events.record(std::move(event)); !recorded) {
    log_error("reload", fmt::format("the event of {} could not be stored: {}", part,
                                    recorded.error().message));
  }
}

}  // namespace domicile::app
