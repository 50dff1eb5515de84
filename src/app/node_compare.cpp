#include "app/node_compare.h"

#include "reference/compare_http.h"

namespace domicile::app {

std::unique_ptr<reference::CompareService> make_compare_service(const NodeConfig& config,
                                                                const Secret& reference_dsn) {
  return std::make_unique<reference::CompareService>(reference::CompareService::Options{
      .run = {.dsn = std::string(reference_dsn.reveal()), .folder = config.state_directory}});
}

std::unique_ptr<reference::CompareWorker> make_compare_worker(const NodeConfig& config,
                                                              const Secret& reference_dsn,
                                                              const Secret& peer_token,
                                                              domain::EventSink& events,
                                                              const Clock& clock) {
  std::optional<std::chrono::minutes> at;
  if (config.compare_at_minute) at = std::chrono::minutes(*config.compare_at_minute);
  const reference::CompareClient::Options master{
      .url = config.registry_url,
      .peer_token = peer_token,
      .region = config.region.text(),
      .http = {.ca_file = config.peer_ca_file,
               .certificate_file = config.peer_certificate,
               .key_file = config.peer_key}};
  return std::make_unique<reference::CompareWorker>(
      reference::CompareWorker::Options{
          .dsn = std::string(reference_dsn.reveal()),
          .region = config.region,
          .folder = config.state_directory,
          .compare_at = at,
          .master = [master] { return std::make_unique<reference::CompareClient>(master); }},
      events, clock);
}

}  // namespace domicile::app
