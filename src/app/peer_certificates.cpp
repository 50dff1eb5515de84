#include "app/peer_certificates.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "base/file.h"
#include "runtime/tls.h"

namespace domicile::app {

Result<void> check_peer_certificate(const NodeConfig& config, const Clock& clock) {
  if (config.peer_certificate.empty()) return {};
  TRY(read_secret_file(config.peer_key));  // its mode, for the most part
  const auto facts =
      TRY(runtime::own_certificate(config.peer_certificate.string(), config.peer_key.string()));
  if (facts.valid_until_s <= clock.unix_seconds()) {
    return fail(Code::invalid, fmt::format("{}: has expired; peers refuse it: renew it",
                                           config.peer_certificate.string()));
  }
  if (std::ranges::find(facts.regions, config.region.view()) == facts.regions.end()) {
    return fail(Code::invalid,
                fmt::format("{}: does not name this region; it must hold the URI {}{} among its "
                            "alternative names",
                            config.peer_certificate.string(),
                            runtime::ClientCertificate::kRegionUri, config.region.view()));
  }
  return {};
}

std::function<void(const http::Request&, std::string_view reason)> note_refused_peer(
    domain::EventSink& events, const Clock& clock, const domain::RegionId& region) {
  struct State {
    std::mutex mutex;
    SteadyTime next{};
    std::uint32_t refused = 0;
  };
  auto state = std::make_shared<State>();
  return [state, &events, &clock, region](const http::Request& request, std::string_view reason) {
    std::uint32_t refused = 0;
    {
      const std::lock_guard lock(state->mutex);
      ++state->refused;
      const SteadyTime now = clock.steady();
      if (now < state->next) return;
      state->next = now + std::chrono::seconds(1);
      refused = std::exchange(state->refused, 0);
    }
    domain::Event event;
    event.kind = domain::EventKind::request;
    event.outcome = domain::Outcome::denied;
    event.activity = domain::Activity::read;
    event.time = clock.now();
    event.region = region;
    event.source_ip = request.peer_ip;
    event.request_id = request.request_id;
    event.operation =
        request.path.starts_with("/v1/reference/") ? "reference.read" : "registry.read";
    event.reason = reason;
    event.severity = "high";  // somebody has the peers' token
    event.details = {{"refused", std::to_string(refused)}};
    if (request.certificate) {
      event.details.emplace_back("client_certificate", request.certificate->fingerprint);
    }
    events.submit(std::move(event), [](Result<std::uint64_t>) {});
  };
}

}  // namespace domicile::app
