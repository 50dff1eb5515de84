#include "registry/registry_source.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "registry/feed_codec.h"

namespace domicile::registry {
namespace {

// The reason of a problem+json answer; "" when it is none.
std::string reason_of(const http::Response& response) {
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  if (!body.is_object() || !body.contains("reason") || !body["reason"].is_string()) return {};
  return body["reason"].get<std::string>();
}

http::Client make_client(const PeerSource::Options& options) {
  return http::Client({.ca_file = options.ca_file,
                       .certificate_file = options.certificate_file,
                       .key_file = options.key_file,
                       .connect_ms = std::chrono::milliseconds(3000),
                       .total_ms = std::chrono::milliseconds(15'000),
                       .body_bytes_max = options.body_bytes_max});
}

}  // namespace

Result<RegistryDelta> StoreSource::changes(const RegistryHead& known, unsigned limit,
                                           std::chrono::milliseconds) {
  return store_.changes(known, limit);
}

PeerSource::PeerSource(Options options)
    : options_(std::move(options)), client_(make_client(options_)) {}

Result<RegistryDelta> PeerSource::changes(const RegistryHead& known, unsigned limit,
                                          std::chrono::milliseconds wait) {
  if (renew_.exchange(false)) client_ = make_client(options_);
  http::ClientRequest request;
  if (!options_.region.empty()) request.headers = {{"domicile-region", options_.region}};
  request.url = fmt::format("{}/v1/registry/changes?since={}&chain={}&registry={}&limit={}&wait={}",
                            options_.url, known.revision, to_hex(domain_bytes(known.chain)),
                            known.registry_id, limit, wait.count());
  request.bearer = options_.peer_token;
  request.total_ms = wait + std::chrono::milliseconds(15'000);
  const http::Response response = TRY(client_.send(request));
  if (response.status == 200) {
    auto delta = decode_delta(response.body);
    if (!delta) return std::unexpected(std::move(delta).error().within(options_.url));
    return delta;
  }
  const std::string reason = reason_of(response);
  if (response.status == 409 && (reason == "registry_went_back" || reason == "registry_diverged")) {
    return fail(
        Code::conflict,
        fmt::format("{} says {}: the registry was restored from a backup", options_.url, reason),
        reason);
  }
  if (response.status == 401) {
    return fail(Code::unauthenticated,
                fmt::format("{} refuses this node's peer token; all nodes need the same one",
                            options_.url));
  }
  if (response.status == 403) {
    return fail(
        Code::unauthenticated,
        fmt::format("{} refuses this node's certificate ({}): peers.certificate must be one by an "
                    "authority of its peers.client_ca and hold the URI {}{}",
                    options_.url, reason, runtime::ClientCertificate::kRegionUri, options_.region));
  }
  return fail(Code::unavailable,
              fmt::format("{} answered {} {}", options_.url, response.status, reason));
}

}  // namespace domicile::registry
